"""Files that are not what their names say, for every loader of files made elsewhere."""

import gzip
import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
DENIED = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>'


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def _zip() -> bytes:
    with zipfile.ZipFile(content := io.BytesIO(), "w") as archive:
        archive.writestr("model/weights.txt", "1 2 3")
    return content.getvalue()


def _tar() -> bytes:
    with tarfile.open(fileobj=(content := io.BytesIO()), mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return content.getvalue()


# What everybody refuses, with the part of the sentence that names it.
COMMON = {
    "pointer": (POINTER.encode(), "is a pointer of Git LFS, .*; run `git lfs pull`"),
    "page": (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page, not "),
    "page with a mark": (b"\xef\xbb\xbf<html></html>", "is a web page, not "),
    "xhtml": (b'<?xml version="1.0"?><html xmlns="x"></html>', "is a web page, not "),
    "denied": (DENIED.encode(), "is a server's error message, not "),
    "not found": (b"404: Not Found", "is a server's error message, not "),
    "empty": (b"", "is empty; get it again"),
}
# And other formats, which no loader of weights takes.
OTHERS = {
    "gzip": (gzip.compress(b"1 2 3"), "is a gzip file, not"),
    "pdf": (b"%PDF-1.7\n\x00\x01", "is a PDF file, not"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "is an HDF5 file, not"),
    "text": (b"gene,weight\nA,1\n", "is text, not"),
    "zip": (_zip(), "is a zip archive that PyTorch did not write; unpack it first"),
    "tar": (_tar(), "is a tar archive, as PyTorch before 0.1.10 wrote"),
    "noise": (bytes(range(1, 200)) * 9, "cannot be read as"),
}


def bomb(folder: Path) -> tuple[Bomb, Path]:
    """Return an object that must not be unpickled, and the folder that shows that it was."""
    return Bomb(folder / "boom"), folder / "boom"


def pickled(folder: Path) -> bytes:
    """Return a plain pickle of such an object."""
    return pickle.dumps(bomb(folder)[0], protocol=2)


def each(*kinds):
    """Parametrise a test with `given` and `said` over tables of this module."""
    rows = {name: row for table in kinds for name, row in table.items()}
    return pytest.mark.parametrize(("given", "said"), list(rows.values()), ids=list(rows))
