"""Resuming of an interrupted embedding: completed batches are stored in the scratch folder."""

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

_HEADER = struct.Struct("<IIQ")  # rows, features, checksum of the values that follow


class Record:
    """An append-only file of batches, each with a checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.completed: list[Float32[np.ndarray, "_ dim"]] = list(_batches(file))
        end = sum(_HEADER.size + batch.nbytes for batch in self.completed)
        file.seek(end)
        file.truncate()  # a batch that was interrupted while it was written

    def add(self, batch: Float32[np.ndarray, "obs dim"]) -> None:
        """Append a batch; once this returns, the batch survives an interruption."""
        content = np.ascontiguousarray(batch, dtype="<f4").tobytes()
        self._file.write(_HEADER.pack(*batch.shape, crc32(content)) + content)
        self._file.flush()


def _batches(file: BinaryIO) -> Iterator[Float32[np.ndarray, "_ _"]]:
    """Yield batches up to the first that is incomplete or damaged."""
    remaining = os.fstat(file.fileno()).st_size
    while len(header := file.read(_HEADER.size)) == _HEADER.size:
        rows, features, checksum = _HEADER.unpack(header)
        remaining -= _HEADER.size + 4 * rows * features
        if remaining < 0 or crc32(content := file.read(4 * rows * features)) != checksum:
            return
        yield np.frombuffer(content, dtype="<f4").reshape(rows, features)


@contextmanager
def resumed(dependencies: Mapping[str, JsonValue]) -> Iterator[Record]:
    """Yield the record of an embedding; it is deleted when the block ends without an exception.

    Parameters
    ----------
    dependencies
        Everything that the embedding depends on. Its hash names the folder of the record, so that
        an embedding is resumed only with equal dependencies.
    """
    key = hashlib.sha256(json.dumps(dependencies, sort_keys=True).encode()).hexdigest()
    folder = scratch() / f"embed-{key[:32]}"
    folder.mkdir(parents=True, exist_ok=True)
    with _open_exclusively(folder / "batches") as file:
        yield Record(file)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _open_exclusively(path: Path) -> Iterator[BinaryIO]:
    """Open and lock a file; if another process has locked it, yield a temporary file instead."""
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with TemporaryFile() as temporary:
                yield temporary
        else:
            file.seek(0)
            yield file
