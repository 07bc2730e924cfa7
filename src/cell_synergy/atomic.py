"""Files that are whole or absent: written under a temporary name, then renamed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp


@contextmanager
def atomic(target: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes `target` when the block ends without an error.

    The block may write a file or make a folder there. After an error, or a kill, `target` is as
    it was before.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield (new := scratch / target.name)
        if target.is_dir():
            target.rename(scratch / "old")
        new.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
