"""Detection of a file's format from its first bytes, and the remedy for files that are no data.

Most unreadable files have another format than their name says: a file fetched without Git LFS is a
pointer of three lines, a file behind a sign-in page is that page, and an interrupted copy may be
empty.
"""

import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

from cell_synergy.core.errors import DataError

EMPTY, FOLDER, POINTER, PAGE, SERVER = "empty", "folder", "LFS pointer", "web page", "server error"
DEVICE = "device"
GZIP, ZIP, HDF5, NPY, PICKLE, SAFETENSORS = "gzip", "zip", "HDF5", "npy", "pickle", "safetensors"
TAR, TEXT, UNKNOWN = "tar", "text", "unknown"

_HEAD = 1024
_MAX_HEADER = 100_000_000  # bytes of a safetensors header
_MAGIC = {
    b"version https://git-lfs": POINTER, b"\x1f\x8b": GZIP, b"PK\x03\x04": ZIP, b"PK\x05\x06": ZIP,
    b"\x89HDF\r\n\x1a\n": HDF5, b"\x93NUMPY": NPY,
    b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"(\xb5/\xfd": "zstandard", b"7z\xbc\xaf": "7z",
    b"%PDF": "PDF", b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\0": "TIFF", b"MM\0*": "TIFF",
    b"II+\0": "TIFF", b"MM\0+": "TIFF", b"GIF8": "GIF", b"ZISRAWFILE": "CZI",
    b"\0\0\0\x0cjP  ": "JPEG 2000", b"\xff\x4f\xff\x51": "JPEG 2000",
    b"PAR1": "Parquet", b"GGUF": "GGUF", b"RDX": "R workspace",
}  # fmt: skip
_PATTERNS = {
    re.compile(rb"RIFF.{4}WEBP", re.DOTALL): "WebP",
    re.compile(rb"BM.{4}\0{4}", re.DOTALL): "BMP",
    re.compile(rb".{257}ustar", re.DOTALL): TAR,
    re.compile(rb"\x80[\2-\5]"): PICKLE,
}
PACKED = {GZIP, ZIP, TAR, "bzip2", "xz", "zstandard", "7z"}
_AGAIN = "get the file itself"
_NEVER = {
    EMPTY: ("is empty", "get it again"),
    DEVICE: ("is a pipe or a device, not a file", "save what comes from it, and name that file"),
    POINTER: (
        "is a pointer of Git LFS, not the file that it points to",
        "run `git lfs pull` where it came from, or download the file itself",
    ),
    PAGE: ("is a web page, not {wanted}", f"{_AGAIN}: sign in, or take the link that downloads it"),
    SERVER: ("is a server's error message, not {wanted}", f"{_AGAIN}: its address is wrong or old"),
}


def detect_format(path: Path) -> str:
    """Return the format of a file: a constant of this module, or the name of another format.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    """
    if path.is_dir():
        return FOLDER
    if path.exists() and not path.is_file():  # opening a pipe without a writer blocks
        return DEVICE
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return EMPTY
    return _binary(head) or _text(head)


def _binary(head: bytes) -> str:
    """Return the binary format whose files begin with these bytes; empty if there is none."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _MAX_HEADER:
        return SAFETENSORS
    return next((name for pattern, name in _PATTERNS.items() if pattern.match(head)), "")


def _text(head: bytes) -> str:
    """Return the kind of text that begins with these bytes; UNKNOWN if they are no text."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<script", b"<body", b"<!--")):
        return PAGE
    if start.startswith((b"<error", b"<?xml")) and (b"<error" in start or b"<html" in start):
        return PAGE if b"<html" in start else SERVER
    if start.startswith((b'{"error"', b'{"message"', b"404: not found", b"entry not found")):
        return SERVER
    if any(byte < 32 and byte not in b"\t\n\r\f" for byte in head):  # noqa: PLR2004 - control characters
        return UNKNOWN
    return TEXT


def require_readable(path: Path, wanted: str, remedy: str) -> str:
    """Return the format of a file; refuse a file that cannot be data of any format.

    Parameters
    ----------
    path
        The file.
    wanted
        Expected content, for messages, with its article: `an image`.
    remedy
        Remedy in messages for a file that is missing, unreadable or a folder: `set the key weights
        to the file`.

    Returns
    -------
    A constant of this module (`HDF5`, `TEXT`, ...), or the name of another format, such as `PNG`.

    Raises
    ------
    DataError
        If the file is missing, cannot be read, or is a folder, a pipe or device, empty, a pointer
        of Git LFS, a web page or the error message of a server.
    """
    try:
        file_type = detect_format(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {remedy}") from error
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise DataError(f"{path}: cannot be read ({reason}); {remedy}") from error
    if file_type == FOLDER:
        raise DataError(f"{path}: is a folder, not {wanted}; {remedy}")
    if what := unusable_reason(path, wanted):
        raise DataError(f"{path}: {what}")
    return file_type


def unusable_reason(path: Path, wanted: str) -> str:
    """Return the reason why a file cannot be data, with the remedy; empty if it can be.

    Parameters
    ----------
    path, wanted
        The file, and its expected content with its article: `an image`.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    """
    what, action = _NEVER.get(detect_format(path), ("", ""))
    return f"{what.format(wanted=wanted)}; {action}" if what else ""


def wrong_format(
    path: Path, wanted: str, remedy: str, reason: object = "", expected: str = ""
) -> DataError:
    """Return, not raise, the error for a file that is not of the expected format.

    The message names the detected format, if it differs from `expected`, and quotes `reason`. For a
    file that `require_readable` refuses, it is the error of that function.

    Parameters
    ----------
    path, wanted
        The file, and its expected content with its article: `an image`.
    remedy
        What the user can do, for the message.
    reason
        Error of the reader of the file, if one was raised.
    expected
        Expected format, a constant of this module; empty if any detected format is wrong.
    """
    try:
        file_type = require_readable(path, wanted, remedy)
    except DataError as error:
        return error
    lines = str(reason).strip().splitlines() or [type(reason).__name__ if reason else ""]
    detail = f" ({lines[0]})" if lines[0] else ""
    article = "an" if file_type[0] in "HRnx" else "a"
    actual = {TEXT: "text", UNKNOWN: "", PICKLE: "a Python pickle"}.get(
        file_type, f"{article} {file_type} file"
    )
    if actual and file_type != expected:
        return DataError(f"{path}: is {actual}, not {wanted}{detail}; {remedy}")
    return DataError(f"{path}: cannot be read as {wanted}{detail}; {remedy}")


def read_json(path: Path, wanted: str, remedy: str) -> dict[str, Any]:
    """Return the JSON object in a file, which may be compressed with gzip.

    Parameters
    ----------
    path, wanted
        The file, and its expected content with its article: `the card of an expert`.
    remedy
        What the user can do if the file is missing or wrong, for messages.

    Raises
    ------
    DataError
        If the file is missing or damaged, or contains anything but one JSON object.
    """
    is_gzip = require_readable(path, wanted, remedy) == GZIP
    try:
        data = path.read_bytes()
        content = json.loads(gzip.decompress(data) if is_gzip else data)
    except (EOFError, OSError, RecursionError, ValueError, zlib.error) as error:
        raise wrong_format(path, wanted, remedy, error, TEXT) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds no JSON object, so it is not {wanted}; {remedy}")
    return content
