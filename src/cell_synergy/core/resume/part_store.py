"""Finished parts of a computation, so that a resumed run computes only the missing ones."""

import fcntl
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO
from zlib import crc32

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from cell_synergy.core.resume.scratch import run_hash, scratch_folder

Row = dict[str, object]
"""One row of a table: a value that can be written as JSON for each column."""

_LENGTHS = struct.Struct("<IQ")  # sizes of key and content in bytes; both follow the checksum
_CHECKSUM = struct.Struct("<I")  # CRC-32 of the lengths, the key and the content
_HEADER_SIZE = _LENGTHS.size + _CHECKSUM.size


class PartStore:
    """Finished parts of one computation, appended to one file.

    Each part has a key and a checksum. Reading stops at the first part that is incomplete or
    damaged, as a kill leaves it at the end of the file; this part and all later ones are removed
    and computed again.

    Parameters
    ----------
    folder
        Existing folder of the computation; parts are stored in its file `parts`, beside any
        checkpoints of training runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "parts"
        self._contents: dict[str, bytes] = {}
        with self._path.open("a+b") as file:
            end = 0
            for key, content in _read_parts(file):
                self._contents[key] = content
                end = file.tell()
            file.truncate(end)
        self._n_batches = sum(1 for _ in self.batches())

    def rows(self, key: str, compute: Callable[[], Iterable[Row]]) -> list[Row]:
        """Return the rows of a part; they are computed and stored if they are not stored yet.

        Parameters
        ----------
        key
            Name of the part, unique in the computation.
        compute
            Function that returns the rows; called only if none are stored under the key.

        Returns
        -------
        The rows as they are read from JSON: NumPy numbers as Python's, tuples as lists.
        """
        key = f"rows {key}"
        if key not in self._contents:
            content = json.dumps(list(compute()), default=lambda number: number.item()).encode()
            self._append(key, content)
            self._contents[key] = content
        rows: list[Row] = json.loads(self._contents[key])
        return rows

    def batches(self) -> Iterator[Float[np.ndarray, "obs dim"]]:
        """Yield the batches that earlier runs stored, in the order of `add_batch`."""
        for number in count():
            content = self._contents.get(f"batch {number}")
            if content is None:
                return
            yield np.load(BytesIO(content), allow_pickle=False)

    def add_batch(self, batch: Float[np.ndarray, "obs dim"]) -> None:
        """Append a batch to the file, after those that earlier runs and this one stored."""
        content = BytesIO()
        np.save(content, batch, allow_pickle=False)
        self._append(f"batch {self._n_batches}", content.getvalue())
        self._n_batches += 1

    def _append(self, key: str, content: bytes) -> None:
        """Append a part to the file; a kill after this call does not lose it."""
        name = key.encode()
        lengths = _LENGTHS.pack(len(name), len(content))
        checksum = _CHECKSUM.pack(crc32(lengths + name + content))
        with self._path.open("ab") as file:
            file.write(lengths + checksum + name + content)


def _read_parts(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Yield key and content of each part up to the first that is incomplete or damaged."""
    remaining = file.seek(0, os.SEEK_END)
    file.seek(0)
    while len(header := file.read(_HEADER_SIZE)) == _HEADER_SIZE:
        lengths = header[: _LENGTHS.size]
        key_size, content_size = _LENGTHS.unpack(lengths)
        (checksum,) = _CHECKSUM.unpack(header[_LENGTHS.size :])
        remaining -= _HEADER_SIZE + key_size + content_size
        if remaining < 0:  # incomplete, or the lengths are damaged
            return
        body = file.read(key_size + content_size)
        if crc32(lengths + body) != checksum:
            return
        yield body[:key_size].decode(), body[key_size:]


@contextmanager
def resumable(kind: str, *settings: object, files: Sequence[Path] = ()) -> Iterator[PartStore]:
    """Yield the store of a computation's parts; it is deleted when the block ends without an error.

    Only one process at a time resumes a computation. Any other process with an equal computation,
    or without access to the folder, computes all parts in a temporary folder of its own.

    Parameters
    ----------
    kind
        Kind of computation, the first part of the folder's name.
    settings, files
        Values (that can be written as JSON) and input files, or folders of input files, that the
        parts depend on; `run_hash` hashes both.

    Raises
    ------
    DataError
        If the scratch folder, `scratch_folder`, cannot be used.
    """
    folder = scratch_folder() / f"{kind}-{run_hash(*settings, files=files)}"
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if folder.stat().st_uid != os.getuid():
                raise PermissionError("it belongs to another user")
            lock = stack.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(lock.fileno()).st_nlink:
                raise BlockingIOError  # it ended and removed the folder after `open`
        except OSError as error:
            reason: object = error
            if isinstance(error, BlockingIOError):
                reason = "another process works on it"
            tqdm.write(f"{folder}: cannot be resumed ({reason}), so the run begins anew")
            folder = Path(stack.enter_context(TemporaryDirectory()))
        yield PartStore(folder)
        shutil.rmtree(folder, ignore_errors=True)
