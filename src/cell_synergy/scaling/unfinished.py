"""Parts that were scored before an interruption, so that they are not learnt and scored again."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from cell_synergy.core.compute import device, scratch
from cell_synergy.scaling.scoring import Row


class Unfinished:
    """What there is of a study.

    Parameters
    ----------
    folder
        Where it is kept: rows in the file `rows`, and checkpoints of what is being learnt.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "rows"
        self._file.touch()
        whole = self._file.read_text().rpartition("\n")[0]  # without what a kill left half-written
        self._done: dict[str, list[Row]] = dict(map(json.loads, whole.splitlines()))
        self._file.write_text(f"{whole}\n" if whole else "")

    def rows(self, part: str, make: Callable[[], Iterable[Row]]) -> list[Row]:
        """Return the rows of a part: those of former times, or those that are made now."""
        if part not in self._done:
            line = json.dumps([part, list(make())], default=lambda number: number.item())
            self.folder.mkdir(parents=True, exist_ok=True)  # a twin that ended took it away
            with self._file.open("a") as file:
                file.write(f"{line}\n")
            self._done[part] = json.loads(line)[1]
        return self._done[part]


@contextmanager
def resumed(settings: Sequence[object], inputs: Sequence[Path]) -> Iterator[Unfinished]:
    """Give what there is of a study; it goes when the block ends well.

    Parameters
    ----------
    settings
        Everything that the rows depend on, but for code, torch and device.
    inputs
        Files and folders that are read.
    """
    digest = hashlib.sha256(json.dumps([settings, str(device()), torch.__version__]).encode())
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] == "cell_synergy" and module.__file__:
            digest.update(Path(module.__file__).read_bytes())
    for path in inputs:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            digest.update(file.name.encode())
            if file.is_file():
                with file.open("rb") as content:
                    digest.update(hashlib.file_digest(content, "sha256").digest())
    folder = scratch() / f"scaling-{digest.hexdigest()[:32]}"
    yield Unfinished(folder)
    shutil.rmtree(folder, ignore_errors=True)
