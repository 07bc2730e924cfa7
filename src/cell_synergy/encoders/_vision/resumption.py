"""Batches of an embedding that were done before an interruption, so that they are not redone."""

import fcntl
import hashlib
import json
import os
import shutil
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO
from zlib import crc32

import numpy as np
from jaxtyping import Float32
from pydantic import JsonValue

from cell_synergy.core.device import scratch

_HEADER = struct.Struct("<IIQ")  # rows, features, checksum of the numbers that follow


class Record:
    """A file that only grows: one batch after the other, each with its checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.done: list[Float32[np.ndarray, "_ dim"]] = list(_batches(file))
        end = sum(_HEADER.size + batch.nbytes for batch in self.done)
        file.seek(end)
        file.truncate()  # what a kill left half-written

    def add(self, batch: Float32[np.ndarray, "obs dim"]) -> None:
        """Write a batch; a kill from here on leaves it done."""
        content = np.ascontiguousarray(batch, dtype="<f4").tobytes()
        self._file.write(_HEADER.pack(*batch.shape, crc32(content)) + content)
        self._file.flush()


def _batches(file: BinaryIO) -> Iterator[Float32[np.ndarray, "_ _"]]:
    """Read whole batches up to the first that is not."""
    left = os.fstat(file.fileno()).st_size
    while len(header := file.read(_HEADER.size)) == _HEADER.size:
        units, features, checksum = _HEADER.unpack(header)
        left -= _HEADER.size + 4 * units * features
        if left < 0 or crc32(content := file.read(4 * units * features)) != checksum:
            return
        yield np.frombuffer(content, dtype="<f4").reshape(units, features)


@contextmanager
def resumed(what: Mapping[str, JsonValue]) -> Iterator[Record]:
    """Give what is done of an embedding, and keep what is added until the block ends well.

    Parameters
    ----------
    what
        Everything that the numbers depend on; the folder in the scratch space has its hash as name.
    """
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    folder = scratch() / f"embed-{key[:32]}"
    folder.mkdir(parents=True, exist_ok=True)
    with _own(folder / "batches") as file:
        yield Record(file)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _own(path: Path) -> Iterator[BinaryIO]:
    """Open a file for this process alone; one that another process holds is left to it."""
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with TemporaryFile() as other:
                yield other
        else:
            file.seek(0)
            yield file
