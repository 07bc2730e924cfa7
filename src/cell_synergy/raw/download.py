"""Download of the files in a manifest, each checked against its SHA-256.

A manifest is a CSV, named after its data set, with one row per file: `path` (below the data set's
raw folder), `sha256`, `url` (at a pinned commit), and `unpack`: empty for a file that is used as
published, else the member of the container at `url` (see `cell_synergy.raw.containers.unpack`). For
a file that is rewritten (`rdata:`, `table:`) the checksum is of the text inside the gzip, because
compressors differ: rows and columns in the published order, integers without a decimal point,
tabs, newlines, an empty corner.
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
from cell_synergy.core.files import atomic_write
from cell_synergy.raw.containers import KINDS, checksum, has_text_checksum, unpack

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EFBIG}
_COLUMNS = ["path", "sha256", "url", "unpack"]
_URL = re.compile(r"https?://\S+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One row of a manifest; the module's docstring defines the columns."""

    path: str
    sha256: str
    url: str
    unpack: str


def download(manifest: Path, out: Path, mirror: Path | None) -> None:
    """Copy or fetch every file of a manifest into the folder `out`.

    Existing files with the right checksum are kept, so that an interrupted run can be continued. A
    file is written completely or not at all.

    Parameters
    ----------
    manifest
        The CSV; its stem is the name of the data set.
    out
        The data set's raw folder.
    mirror
        Folder with one folder per data set in the layout of `data/raw`, from which files are copied
        (and checked) instead of fetched; None without a mirror.

    Raises
    ------
    DataError
        If the manifest is missing or invalid, a file is available neither in the mirror nor at its
        address, its container does not have it, its checksum is wrong, or it cannot be stored.
    """
    entries = read_manifest(manifest)
    with TemporaryDirectory() as scratch:
        containers = _Containers(Path(scratch))
        for entry in (bar := tqdm(entries, desc=manifest.stem, unit="file")):
            bar.set_postfix_str(entry.path.rpartition("/")[2], refresh=False)
            mirrored = None if mirror is None else mirror / manifest.stem / entry.path
            _provide(entry, out / entry.path, mirrored, containers.get)


def read_manifest(manifest: Path) -> list[Entry]:
    """Return the rows of a manifest, after checking columns, paths, checksums and addresses.

    Raises
    ------
    DataError
        If there is no such CSV, or a check fails; the message names the line.
    """
    if not manifest.is_file():
        raise DataError(f"{manifest}: no such manifest; it lists {', '.join(_COLUMNS)} per file")
    expected = "a manifest (CSV of UTF-8)"
    filetypes.require_readable(manifest, expected, "make it anew")
    try:
        text = manifest.read_text(encoding="utf-8-sig")
        header, *rows = csv.reader(text.splitlines()) if text.strip() else [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise filetypes.wrong_format(
            manifest, expected, "make it anew", error, filetypes.TEXT
        ) from error
    if header != _COLUMNS:
        raise DataError(f"{manifest}: the columns are {header}; name them {','.join(_COLUMNS)}")
    for line, row in enumerate(rows, start=2):
        if len(row) != len(_COLUMNS):
            raise DataError(
                f"{manifest}, line {line}: has {len(row)} cells, not {len(_COLUMNS)}; write "
                f"{','.join(_COLUMNS)}, the last empty for a file that is used as published"
            )
    entries = [Entry(*row) for row in rows]
    paths = [entry.path for entry in entries]
    for line, entry in enumerate(entries, start=2):
        if problem := _find_problem(entry, paths):
            raise DataError(f"{manifest}, line {line}: {problem}")
    return entries


def _find_problem(entry: Entry, paths: list[str]) -> str:
    """Return the first problem of a row of a manifest, with its remedy; "" if there is none."""
    path = PurePosixPath(entry.path)
    if not entry.path or path.is_absolute() or ".." in path.parts:
        return f"path {entry.path!r} leaves the raw folder; make it relative to it, without '..'"
    if paths.count(entry.path) > 1:
        return f"path {entry.path!r} is listed twice; keep one row"
    if not _SHA256.fullmatch(entry.sha256):
        return f"sha256 {entry.sha256!r} is not 64 lower-case hexadecimal digits"
    if not _URL.fullmatch(entry.url):
        return f"url {entry.url!r} is not a web address, which begins with https:// or http://"
    if entry.unpack and entry.unpack.partition(":")[0] not in KINDS:
        return f"unpack {entry.unpack!r} does not begin with one of {', '.join(KINDS)} and ':'"
    return ""


class _Containers:
    """Containers of this run, each of which is fetched once for all of its members.

    Parameters
    ----------
    folder
        Folder that the containers are stored in.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path_of: dict[str, Path] = {}

    def get(self, url: str, member: str) -> Path:
        """Return the path of the container at a URL; `member` is the file in error messages."""
        if url not in self._path_of:
            path = self._folder / str(len(self._path_of))
            _fetch(url, path, member)
            self._path_of[url] = path
        return self._path_of[url]


def _provide(
    entry: Entry, target: Path, mirrored: Path | None, container: Callable[[str, str], Path]
) -> None:
    """Copy or fetch one file, unless it exists with the right checksum.

    Parameters
    ----------
    entry
        The row of the manifest.
    target
        Path of the file.
    mirrored
        Its path in the mirror, which need not exist; None without a mirror.
    container
        Function that returns the container at a URL.
    """
    text = has_text_checksum(entry.unpack)
    if target.is_file():
        if checksum(target, text=text) == entry.sha256:
            return
        target.unlink()
    with atomic_write(target) as new:
        if mirrored is not None and mirrored.is_file():
            origin, remedy = str(mirrored), "replace it there, or remove it so that it is fetched"
            _copy(mirrored, new)
        else:
            origin, remedy = entry.url, "run again; if it stays so, use a mirror that has the file"
            if entry.unpack:
                unpack(container(entry.url, entry.path), entry.unpack, new)
            else:
                _fetch(entry.url, new, entry.path)
        if (actual := checksum(new, text=text)) != entry.sha256:
            if reason := filetypes.unusable_reason(new, "that file"):
                raise DataError(f"{entry.path}: what {origin} gives {reason}; {remedy}")
            raise DataError(
                f"{entry.path}: wrong checksum from {origin}: sha256 "
                f"{actual or 'of no gzip file'}, the manifest has {entry.sha256}; "
                f"nothing was kept; {remedy}"
            )


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise DataError(
            f"{source}: cannot be copied to the raw files ({error.strerror}); check its "
            "permissions, and the free space"
        ) from error


def _fetch(url: str, target: Path, name: str) -> None:
    """Fetch a URL; `name` is the file in error messages."""
    try:
        pooch.HTTPDownloader()(url, str(target), None)
    except OSError as error:  # the exceptions of requests are OSErrors
        if error.errno in _DISK_ERRORS:
            raise DataError(
                f"{name}: cannot be stored here ({os.strerror(error.errno)}); free some space, "
                "or check the folder's permissions"
            ) from error
        response = getattr(error, "response", None)
        reason = f"HTTP {response.status_code}" if response is not None else type(error).__name__
        raise DataError(
            f"{name}: cannot be fetched from {url} ({reason}); check the network, or set "
            "CELL_SYNERGY_MIRROR to a folder that holds the raw files of this data set"
        ) from error
