"""Raw files that stay where they are: `sources.json` says where, and what they were.

Slides have gigabytes and may not be redistributed; a copy of them, and with it DVC's cache, would
hold them twice. The raw folder of such a data set holds this one file: the folder, and of each file
its size and checksum, so that a change of any file changes the raw folder when `download` runs
again, and is refused by whoever reads before that.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError

NAME = "sources.json"
IMAGES = (".tif", ".tiff", ".btf", ".svs", ".png", ".jpg", ".jpeg")
"""How names of images end."""

_BLOCK = 2**20
_BLOCKS = 16


def record(folder: Path, files: Iterable[Path], out: Path) -> None:
    """Write into the folder `out` where `files` below `folder` are and what they hold."""
    found = {
        str(file.relative_to(folder)): fingerprint(file)
        for file in tqdm(sorted(files), desc="recording", unit="file")
    }
    text = json.dumps({"folder": str(folder.resolve()), "files": found}, indent=1)
    (out / NAME).write_text(text + "\n", encoding="utf-8")


def located(raw: Path) -> Path:
    """Return the folder that holds a data set's files: `raw`, or the one that it names.

    Raises
    ------
    DataError
        If a recorded file is missing or was changed.
    """
    if not (raw / NAME).is_file():
        return raw
    again = f"run `dvc repro -f download@{raw.name}`"
    recorded = filetypes.read_json(raw / NAME, "the record of a folder", again)
    if not (isinstance(recorded.get("folder"), str) and isinstance(recorded.get("files"), dict)):
        raise DataError(f"{raw / NAME}: names no folder and its files; {again}")
    folder = Path(recorded["folder"])
    for name, was in recorded["files"].items():
        if not (folder / name).is_file():
            raise DataError(f"{folder / name}: is not there any more; put it back or {again}")
        if fingerprint(folder / name) != was:
            raise DataError(f"{folder / name}: was changed since it was recorded; {again}")
    return folder


def below(root: Path, name: str, key: str) -> Path:
    """Return the path of a file that a parameter names below the data set's folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"{key}: {name!r} leads out of {root}; put the table there and name it")
    return root / name


def fingerprint(path: Path) -> str:
    """Return a file's size and a SHA-256: of all of it, or of 16 MiB spread evenly over it."""
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
