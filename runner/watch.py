"""Detect changes, since a plan was made, of the files that it depends on."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

_State = tuple[int, int, int]  # time of modification in nanoseconds, size in bytes, inode


class Watch:
    """Detects later changes of the files that stages with `meta: {first: true}` read.

    A stage runs the code of the time when it starts, whereas DVC records hashes of code that stages
    with `meta: {first: true}` computed earlier. If the code were changed in between, and back
    before the next run, results would be recorded as those of code that did not compute them.
    `dvc repro` does not detect this.

    Parameters
    ----------
    repo
        DVC's repository.
    stages
        Stages with `meta: {first: true}` and all stages that they depend on. Files that one of the
        stages writes are not watched.
    """

    def __init__(self, repo: Any, stages: Iterable[Any]) -> None:  # noqa: ANN401 - DVC: no types
        stages = list(stages)
        made = {out.fs_path for stage in stages for out in stage.outs}
        self._ignore, self._fs = repo.dvcignore, repo.fs
        self._paths = {
            str(dep.fs_path)
            for stage in stages
            for dep in stage.deps
            if dep.protocol == "local" and dep.fs_path not in made
        }
        self._before = self._states()

    def changed(self) -> bool:
        """Return whether a file was changed, added or removed since the construction."""
        return self._states() != self._before

    def _states(self) -> dict[str, _State]:
        """Return the state of each file, by path."""
        states = {}
        for path in self._paths:
            for file in [path] if Path(path).is_file() else self._ignore.find(self._fs, path):
                try:
                    status = Path(file).stat()
                except FileNotFoundError:  # deleted meanwhile, or a broken symbolic link
                    continue
                states[file] = status.st_mtime_ns, status.st_size, status.st_ino
        return states
