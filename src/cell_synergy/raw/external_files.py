"""Raw files that stay in an external folder: `sources.json` records the folder and its files.

Slides are gigabytes large and may not be redistributed; a copy, and another in DVC's cache, would
multiply their size on disk. The raw folder of such a data set has only this record: the folder, and
size and checksum of each file. After a file has changed, reading the data set is refused until
`download` runs again and writes a new record.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError

_RECORD = "sources.json"
IMAGES = (".tif", ".tiff", ".btf", ".svs", ".png", ".jpg", ".jpeg")
"""Suffixes of images."""

_BLOCK = 2**20  # bytes that are hashed together
_BLOCKS = 16  # hashed blocks of a larger file


def record(folder: Path, files: Iterable[Path], out: Path) -> None:
    """Write `sources.json`: the path of an external folder, and the fingerprint of each file.

    Parameters
    ----------
    folder
        The external folder.
    files
        The files, below `folder`.
    out
        Existing raw folder that the record is written to.
    """
    fingerprints = {
        str(file.relative_to(folder)): fingerprint(file)
        for file in tqdm(sorted(files), desc="recording", unit="file")
    }
    text = json.dumps({"folder": str(folder.resolve()), "files": fingerprints}, indent=1)
    (out / _RECORD).write_text(text + "\n", encoding="utf-8")


def located(raw: Path) -> Path:
    """Return the folder of a data set's files: `raw`, or the external folder in its record.

    Parameters
    ----------
    raw
        The raw folder, with the files themselves or with `sources.json`.

    Raises
    ------
    DataError
        If a recorded file is missing or has changed, or the record is broken.
    """
    if not (raw / _RECORD).is_file():
        return raw
    remedy = f"run `dvc repro -f download@{raw.name}`"
    recorded = filetypes.read_json(raw / _RECORD, "the record of a folder", remedy)
    if not (isinstance(recorded.get("folder"), str) and isinstance(recorded.get("files"), dict)):
        raise DataError(f"{raw / _RECORD}: does not name a folder and its files; {remedy}")
    folder = Path(recorded["folder"])
    for name, recorded_fingerprint in recorded["files"].items():
        if not (folder / name).is_file():
            raise DataError(f"{folder / name}: does not exist any more; put it back or {remedy}")
        if fingerprint(folder / name) != recorded_fingerprint:
            raise DataError(f"{folder / name}: was changed since it was recorded; {remedy}")
    return folder


def below(root: Path, name: str, key: str) -> Path:
    """Return the path of a file that a parameter names; it must be below the data set's folder.

    Parameters
    ----------
    root
        The data set's folder.
    name
        Path of the file, relative to `root`; whether the file exists is not checked.
    key
        Key of the parameter, for messages.

    Raises
    ------
    DataError
        If the path is absolute or contains `..`.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"{key}: {name!r} leads out of {root}; put the table there and name it")
    return root / name


def fingerprint(path: Path) -> str:
    """Return `<size in bytes> <SHA-256>` of a file.

    Of a file above 16 MiB, 16 blocks of 1 MiB are hashed, which are spread evenly over it.
    """
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if size <= _BLOCK * _BLOCKS:
            digest.update(file.read())
        else:
            for block in range(_BLOCKS):
                file.seek(block * (size - _BLOCK) // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK))
    return f"{size} {digest.hexdigest()}"
