"""Parts that were scored before an interruption, so that they are not learnt and scored again."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from cell_synergy.core.device import fingerprint, scratch
from cell_synergy.studies.scaling.subset_evaluator import Row


class Unfinished:
    """What there is of a study.

    Parameters
    ----------
    folder
        Where it is kept: rows in the file `rows`, and checkpoints of what is being learnt.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "rows"
        self._file.touch()
        self._done: dict[str, list[Row]] = {}
        whole = 0  # bytes before what a kill left torn, or what is damaged
        with suppress(ValueError, TypeError), self._file.open("rb") as lines:
            for line in lines:
                part, rows = json.loads(line if line.endswith(b"\n") else b"")
                self._done[part] = rows
                whole += len(line)
        os.truncate(self._file, whole)

    def rows(self, part: str, make: Callable[[], Iterable[Row]]) -> list[Row]:
        """Return the rows of a part: those of former times, or those that are made now."""
        if part not in self._done:
            line = json.dumps([part, list(make())], default=lambda number: number.item())
            with self._file.open("a") as file:
                file.write(f"{line}\n")
            self._done[part] = json.loads(line)[1]
        return self._done[part]


@contextmanager
def resumed(settings: Sequence[object], inputs: Sequence[Path]) -> Iterator[Unfinished]:
    """Give what there is of a study; it goes when the block ends well.

    What another process is at work on is left to that one, and made again here.

    Parameters
    ----------
    settings
        Everything that the rows depend on, but for code and machine.
    inputs
        Files and folders that are read.
    """
    folder = scratch() / f"scaling-{fingerprint(*settings, data=_digests(inputs))}"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        lock = stack.enter_context((folder / "lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            folder = Path(stack.enter_context(TemporaryDirectory()))
        yield Unfinished(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _digests(inputs: Sequence[Path]) -> Iterator[bytes]:
    """Yield name and digest of every file."""
    for path in inputs:
        for file in filter(Path.is_file, sorted(path.rglob("*")) if path.is_dir() else [path]):
            with file.open("rb") as content:
                yield file.name.encode() + hashlib.file_digest(content, "sha256").digest()
