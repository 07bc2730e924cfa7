"""Atomic writes: a file or folder is written under a temporary name, then renamed."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from cell_synergy.core.errors import InputError, errno_in_text

_PROBE = bytes(2**16)  # written to test whether the disk is full


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, which replaces `target` if the block ends without error.

    The block may write a file or create a folder at the path. After an error or a kill, `target` is
    unchanged; temporary files of a killed process are removed at the next write of `target`.
    """
    with named_after(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_of(target) as scratch:
            with _raise_disk_error(scratch):
                yield (new := scratch / target.name)
            if target.is_dir() and new.exists():
                target.rename(scratch / f"{target.name}.old")
            new.replace(target)


@contextmanager
def scratch_of(target: Path) -> Iterator[Path]:
    """Yield a new temporary folder next to `target`, which is removed when the block ends.

    Temporary folders of `target` that killed processes left behind are removed first.
    """
    _remove_abandoned(target)
    scratch = Path(mkdtemp(prefix=f".{target.name}.~", dir=target.parent))
    lock = os.open(scratch, os.O_RDONLY)
    try:
        with suppress(OSError):  # no locks on this file system: no abandoned folder is removed
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


@contextmanager
def named_after(target: Path, *, unnamed: bool = True) -> Iterator[None]:
    """Replace the name of a temporary file in an OSError of the block by the name of its target.

    Parameters
    ----------
    target
        File or folder that is written under a temporary name.
    unnamed
        Whether `target` is also added to errors that name no file, such as that of a full disk.
    """
    try:
        yield
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        if f"{os.sep}.{target.name}." in f"{os.sep}{name}" or (unnamed and not name):
            error.filename = str(target)
        raise


@contextmanager
def _raise_disk_error(scratch: Path) -> Iterator[None]:
    """Raise an OSError where a library reports an error of the disk as another exception.

    Torch raises a RuntimeError about a position in the file, whose cause shows only when the disk
    is written again; HDF5 and safetensors state the errno in the text of their errors.
    """
    try:
        yield
    except Exception as error:
        if not (isinstance(error, InputError) or (isinstance(error, OSError) and error.errno)):
            if number := errno_in_text(error):
                raise OSError(number, os.strerror(number)) from error
            try:
                (scratch / "probe").write_bytes(_PROBE)
            except OSError as cause:
                raise cause from error
        raise


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary folders of `target` that no living process has locked."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.~[a-z0-9_]{{8}}")  # users do not write `.~`
    for folder in [path for path in target.parent.iterdir() if pattern.fullmatch(path.name)]:
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not target.exists() and (old := folder / f"{target.name}.old").exists():
                    old.rename(target)  # killed between the two renames of a folder
                shutil.rmtree(folder)
            finally:
                os.close(lock)
