"""Fetch the files that a manifest lists, each checked against its sha256.

A manifest is a CSV with one row per file: `path` (below the data set's raw folder), `sha256`,
`url` (at a pinned commit), and `unpack`: empty for a file taken as it is, or which member of the
container at `url` it is (see `cell_synergy.raw.containers.unpack`). The manifest's name is the
data set's. For a file that is rewritten (`rdata:`, `table:`) the checksum is of the text inside the
gzip, because compressors differ: rows and columns in upstream's order, integers without a decimal
point, tabs, newlines, an empty corner.
"""

import csv
import errno
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pooch
from tqdm import tqdm

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError
from cell_synergy.core.files import atomic
from cell_synergy.raw.containers import KINDS, checksum, has_text_checksum, unpack

_HERE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EFBIG}
_COLUMNS = ["path", "sha256", "url", "unpack"]
_ADDRESS = re.compile(r"https?://\S+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One row of a manifest; the module's docstring says what each column means."""

    path: str
    sha256: str
    url: str
    unpack: str


def download(manifest: Path, out: Path, mirror: Path | None) -> None:
    """Make `out` hold every file of a manifest.

    Files that are there with the right checksum stay; a run that was interrupted is taken up where
    it stopped. A file is whole or absent.

    Parameters
    ----------
    manifest
        The CSV; its stem is the name of the data set.
    out
        The data set's raw folder.
    mirror
        Folder with one folder per data set in the layout of `data/raw`. What it holds is copied
        (and checked) instead of fetched.

    Raises
    ------
    DataError
        If a checksum is wrong, or a file can be had neither from the mirror nor from its address.
    """
    entries = read_manifest(manifest)
    with TemporaryDirectory() as scratch:
        containers = _Containers(Path(scratch))
        for entry in (bar := tqdm(entries, desc=manifest.stem, unit="file")):
            bar.set_postfix_str(entry.path.rpartition("/")[2], refresh=False)
            held = None if mirror is None else mirror / manifest.stem / entry.path
            _provide(entry, out / entry.path, held, containers.get)


def read_manifest(manifest: Path) -> list[Entry]:
    """Read and check a manifest."""
    if not manifest.is_file():
        raise DataError(f"{manifest}: no such manifest; it lists {', '.join(_COLUMNS)} per file")
    wanted = "a manifest (CSV of UTF-8)"
    filetypes.required(manifest, wanted, "make it anew")
    try:
        text = manifest.read_text(encoding="utf-8-sig")
        first, *rows = csv.reader(text.splitlines()) if text.strip() else [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise filetypes.unlike(manifest, wanted, "make it anew", error, filetypes.TEXT) from error
    if first != _COLUMNS:
        raise DataError(f"{manifest}: the columns are {first}; name them {','.join(_COLUMNS)}")
    for line, row in enumerate(rows, start=2):
        if len(row) != len(_COLUMNS):
            raise DataError(
                f"{manifest}, line {line}: has {len(row)} cells, not {len(_COLUMNS)}; write "
                f"{','.join(_COLUMNS)}, the last empty for a file taken as it is"
            )
    entries = [Entry(*row) for row in rows]
    paths = [entry.path for entry in entries]
    for line, entry in enumerate(entries, start=2):
        if problem := _problem(entry, paths):
            raise DataError(f"{manifest}, line {line}: {problem}")
    return entries


def _problem(entry: Entry, paths: list[str]) -> str:
    path = PurePosixPath(entry.path)
    if not entry.path or path.is_absolute() or ".." in path.parts:
        return f"path {entry.path!r} leaves the raw folder; make it relative to it, without '..'"
    if paths.count(entry.path) > 1:
        return f"path {entry.path!r} is listed twice; keep one row"
    if not _SHA256.fullmatch(entry.sha256):
        return f"sha256 {entry.sha256!r} is not 64 lower-case hexadecimal digits"
    if not _ADDRESS.fullmatch(entry.url):
        return f"url {entry.url!r} is no address of the web; it begins with https:// or http://"
    if entry.unpack and entry.unpack.partition(":")[0] not in KINDS:
        return f"unpack {entry.unpack!r} does not begin with one of {', '.join(KINDS)} and ':'"
    return ""


class _Containers:
    """Containers of this run, each fetched once however many of its members are wanted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Path] = {}

    def get(self, url: str, wanted: str) -> Path:
        if url not in self._known:
            place = self._folder / str(len(self._known))
            _fetch(url, place, wanted)
            self._known[url] = place
        return self._known[url]


def _provide(
    entry: Entry, target: Path, held: Path | None, container: Callable[[str, str], Path]
) -> None:
    """Bring one file to its place, unless it is there already."""
    text = has_text_checksum(entry.unpack)
    if target.is_file():
        if checksum(target, text=text) == entry.sha256:
            return
        target.unlink()
    with atomic(target) as new:
        if held is not None and held.is_file():
            origin, remedy = str(held), "replace it there, or remove it so that it is fetched"
            _copy(held, new)
        else:
            origin, remedy = entry.url, "run again; if it stays so, use a mirror that has the file"
            if entry.unpack:
                unpack(container(entry.url, entry.path), entry.unpack, new)
            else:
                _fetch(entry.url, new, entry.path)
        if (got := checksum(new, text=text)) != entry.sha256:
            if what := filetypes.never(new, "that file"):
                raise DataError(f"{entry.path}: what {origin} gives {what}; {remedy}")
            raise DataError(
                f"{entry.path}: wrong checksum from {origin}: sha256 {got or 'of no gzip file'}, "
                f"the manifest says {entry.sha256}; nothing was kept; {remedy}"
            )


def _copy(held: Path, target: Path) -> None:
    try:
        shutil.copyfile(held, target)
    except OSError as error:
        raise DataError(
            f"{held}: cannot be copied to the raw files ({error.strerror}); see to its rights, or "
            "to the free space"
        ) from error


def _fetch(url: str, target: Path, wanted: str) -> None:
    try:
        pooch.HTTPDownloader()(url, str(target), None)
    except OSError as error:  # what requests raises is an OSError
        if error.errno in _HERE:
            raise DataError(
                f"{wanted}: cannot be stored here ({os.strerror(error.errno)}); free some space, "
                "or see to the folder's rights"
            ) from error
        response = getattr(error, "response", None)
        reason = f"HTTP {response.status_code}" if response is not None else type(error).__name__
        raise DataError(
            f"{wanted}: cannot be fetched from {url} ({reason}); check the network, or set "
            "CELL_SYNERGY_MIRROR to a folder that holds the raw files of this data set"
        ) from error
