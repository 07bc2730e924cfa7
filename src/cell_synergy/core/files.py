"""Files that are whole or absent: written under a temporary name, then renamed."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from cell_synergy.core.errors import InputError, number_in

_PROBE = bytes(2**16)  # what a disk that is full cannot take


@contextmanager
def atomic(target: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes `target` when the block ends without an error.

    The block may write a file or make a folder there. After an error, or a kill, `target` is as
    it was before; what a killed process could not remove goes with the next write of `target`.
    """
    with named_after(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_of(target) as scratch:
            with _disk_blamed(scratch):
                yield (new := scratch / target.name)
            if target.is_dir() and new.exists():
                target.rename(scratch / f"{target.name}.old")
            new.replace(target)


@contextmanager
def scratch_of(target: Path) -> Iterator[Path]:
    """Yield a new folder beside `target`, which goes when the block ends.

    What a killed process left of its own goes before.
    """
    _sweep(target)
    scratch = Path(mkdtemp(prefix=f".{target.name}.~", dir=target.parent))
    lock = os.open(scratch, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: then nothing is swept either
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


@contextmanager
def named_after(target: Path, *, unnamed: bool = True) -> Iterator[None]:
    """Give an error of the disk the name of `target`, which a user knows, for its scratch file's.

    So is an error that names no file at all, as of a full disk, if `unnamed`.
    """
    try:
        yield
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        if f"{os.sep}.{target.name}." in f"{os.sep}{name}" or (unnamed and not name):
            error.filename = str(target)
        raise


@contextmanager
def _disk_blamed(scratch: Path) -> Iterator[None]:
    """Raise the disk's own error where a library that writes there has other words for it.

    Torch's is a RuntimeError of a wrong position; HDF5 and safetensors have the number in a text.
    """
    try:
        yield
    except Exception as error:
        if not (isinstance(error, InputError) or (isinstance(error, OSError) and error.errno)):
            if number := number_in(error):
                raise OSError(number, os.strerror(number)) from error
            try:
                (scratch / "probe").write_bytes(_PROBE)
            except OSError as cause:
                raise cause from error
        raise


def _sweep(target: Path) -> None:
    """Remove the scratch folders of `target` that no living process holds."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.~[a-z0-9_]{{8}}")  # a person's has no ~
    for left in [path for path in target.parent.iterdir() if ours.fullmatch(path.name)]:
        with suppress(OSError):
            lock = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not target.exists() and (old := left / f"{target.name}.old").exists():
                    old.rename(target)  # killed between the two renames of a folder
                shutil.rmtree(left)
            finally:
                os.close(lock)
