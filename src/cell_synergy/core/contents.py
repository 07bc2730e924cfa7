"""What a file holds in place of what its name promises."""

from pathlib import Path

_BEGINNINGS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file (fetch it: `git lfs pull`)",
    b"\x1f\x8b": "compressed with gzip (unpack it: `gunzip`)",
    b"PK\x03\x04": "a zip archive (unpack it)",
}
_PAGES = (b"<!doctype html", b"<html", b"<?xml", b"<head")
_LOOK = 1024  # bytes that are looked at


def found_instead(path: Path) -> str | None:
    """Return what stands at `path` where a binary file is wanted, or None if nothing is known.

    Known are a folder, an empty file, a Git LFS pointer, a web page that a download saved in place
    of the file, and packed files.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    if path.is_dir():
        return "a folder, not a file"
    with path.open("rb") as file:
        start = file.read(_LOOK)
    if not start:
        return "empty: it has zero bytes"
    for beginning, what in _BEGINNINGS.items():
        if start.startswith(beginning):
            return what
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_PAGES):
        return "a web page, not the file (a login or an error page that was saved under its name)"
    return None
