"""Read the files of parameters once while many stages are compared with them.

DVC parses params.yaml for each stage, and searches all of it for each key: 4 s of CPU time at 165
stages.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dvc.dependency import param


@contextmanager
def params_read_once() -> Iterator[None]:
    """Make DVC read each file of parameters once in a `with` block, in which none may change."""
    files: dict[str, Any] = {}
    original = param.read_param_file

    def read(
        fs: Any,  # noqa: ANN401 - DVC ships no types
        path: str,
        key_paths: Sequence[str] | None = None,
        flatten: bool = False,
        **settings: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        if not (key_paths and flatten) or settings:
            return original(fs, path, key_paths, flatten, **settings)
        if path not in files:
            files[path] = param.load_path(path, fs)
        try:
            return {key: _value(files[path], key) for key in key_paths}
        except KeyError:  # missing, or written in another way
            return original(fs, path, key_paths, flatten)

    param.read_param_file = read
    try:
        yield
    finally:
        param.read_param_file = original


def _value(params: Any, key: str) -> Any:  # noqa: ANN401
    """Return the value of a dotted key; KeyError if a part of it is no key of a mapping."""
    for part in key.split("."):
        params = (params if isinstance(params, Mapping) else {})[part]
    return params
