"""Whether the files that the plan rests on have changed since it was made."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

_State = tuple[int, int, int]  # of a file: time of change, size, inode


class Watch:
    """The files that stages with `meta: {first: true}` read, as they are when this is made.

    A stage that starts later runs the code of that moment, while DVC records what the first stages
    said of the code before. Were the code changed back by the next run, the results of the other
    code would pass for its own. `dvc repro` has no such guard.

    Parameters
    ----------
    repo
        The repository.
    stages
        The first stages and what they are made from.
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
        """Return whether one was changed, added or removed."""
        return self._states() != self._before

    def _states(self) -> dict[str, _State]:
        states = {}
        for path in self._paths:
            for file in [path] if Path(path).is_file() else self._ignore.find(self._fs, path):
                try:
                    status = Path(file).stat()
                except FileNotFoundError:  # gone meanwhile, or a link to nothing
                    continue
                states[file] = status.st_mtime_ns, status.st_size, status.st_ino
        return states
