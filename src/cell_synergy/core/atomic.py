"""Files that are whole or absent: written under a temporary name, then renamed."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp


@contextmanager
def atomic(target: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes `target` when the block ends without an error.

    The block may write a file or make a folder there. After an error, or a kill, `target` is as
    it was before; what a killed process could not remove goes with the next write of `target`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    scratch = Path(mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    lock = os.open(scratch, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: then nothing is swept either
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield (new := scratch / target.name)
        if target.is_dir() and new.exists():
            target.rename(scratch / f"{target.name}.old")
        new.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


def _sweep(target: Path) -> None:
    """Remove the scratch folders of `target` that no living process holds."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}")
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
