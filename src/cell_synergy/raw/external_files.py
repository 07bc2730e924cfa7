"""Raw files that stay in an external folder: `sources.json` records the folder and its files.

Slides have gigabytes and may not be redistributed; a copy, and with it DVC's cache, would double
their size on disk. The raw folder of such a data set holds only this record: the folder, and the
size and checksum of each file. If a file changes, the record changes when `download` runs again;
until then, reading it is refused.
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

_BLOCK = 2**20
_BLOCKS = 16


def record(folder: Path, files: Iterable[Path], out: Path) -> None:
    """Write the record of some files.

    Parameters
    ----------
    folder
        The folder that holds the files.
    files
        The files, below `folder`.
    out
        Folder that the record is written to.
    """
    fingerprints = {
        str(file.relative_to(folder)): fingerprint(file)
        for file in tqdm(sorted(files), desc="recording", unit="file")
    }
    text = json.dumps({"folder": str(folder.resolve()), "files": fingerprints}, indent=1)
    (out / _RECORD).write_text(text + "\n", encoding="utf-8")


def located(raw: Path) -> Path:
    """Return the folder that holds a data set's files: `raw`, or the one that its record names.

    Raises
    ------
    DataError
        If a recorded file is missing or has changed.
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
    """Return the path of a file that a parameter names below the data set's folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"{key}: {name!r} leads out of {root}; put the table there and name it")
    return root / name


def fingerprint(path: Path) -> str:
    """Return a file's size and a SHA-256: of the file, or of 16 MiB spread evenly over it."""
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
