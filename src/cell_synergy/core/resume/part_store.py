"""Finished parts of a computation, so that a run after an interruption computes only the others."""

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
"""One row of a table, by column; its values can be written as JSON."""

_LENGTHS = struct.Struct("<IQ")  # bytes of the key and of the content that follow the checksum
_CHECKSUM = struct.Struct("<I")  # CRC-32 of the lengths, the key and the content
_HEADER_SIZE = _LENGTHS.size + _CHECKSUM.size


class PartStore:
    """Finished parts of one computation, in a file that only grows.

    Each part has a key and a checksum. Reading stops at the first part that is incomplete or
    damaged, which is what a kill leaves at the end of the file; that part and those behind it are
    removed and computed again.

    Parameters
    ----------
    folder
        Existing folder of the computation. It has the parts in the file `parts`; checkpoints of a
        training run may be in the same folder.
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
        """Return the rows of a part: the stored ones, or those that `compute` returns now."""
        key = f"rows {key}"
        if key not in self._contents:
            content = json.dumps(list(compute()), default=lambda number: number.item()).encode()
            self._append(key, content)
            self._contents[key] = content
        rows: list[Row] = json.loads(self._contents[key])
        return rows

    def batches(self) -> Iterator[Float[np.ndarray, "obs dim"]]:
        """Yield the batches that were stored before this run, in the order of `add_batch`."""
        for number in count():
            content = self._contents.get(f"batch {number}")
            if content is None:
                return
            yield np.load(BytesIO(content), allow_pickle=False)

    def add_batch(self, batch: Float[np.ndarray, "obs dim"]) -> None:
        """Store the next batch."""
        content = BytesIO()
        np.save(content, batch, allow_pickle=False)
        self._append(f"batch {self._n_batches}", content.getvalue())
        self._n_batches += 1

    def _append(self, key: str, content: bytes) -> None:
        """Write a part; a kill after this call leaves it stored."""
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
        if remaining < 0:  # also where damaged lengths ask for more memory than there is
            return
        body = file.read(key_size + content_size)
        if crc32(lengths + body) != checksum:
            return
        yield body[:key_size].decode(), body[key_size:]


@contextmanager
def resumable(kind: str, *settings: object, files: Sequence[Path] = ()) -> Iterator[PartStore]:
    """Give the store of a computation; it is removed when the block ends without an error.

    Only one process at a time continues a computation. Another one that does the same work, or one
    that cannot use the folder, computes everything in a temporary folder of its own.

    Parameters
    ----------
    kind
        What is computed: the first word of the folder's name.
    settings, files
        Everything that the parts depend on, as for `run_hash`.
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
                raise BlockingIOError  # which has ended and removed the folder since `open`
        except OSError as error:
            reason: object = error
            if isinstance(error, BlockingIOError):
                reason = "another process works on it"
            tqdm.write(f"{folder}: cannot be resumed ({reason}), so the run begins anew")
            folder = Path(stack.enter_context(TemporaryDirectory()))
        yield PartStore(folder)
        shutil.rmtree(folder, ignore_errors=True)
