"""Add experts and data sets that need a licence to params.yaml.

python -m cell_synergy.studies.licensed NAME ...

NAME is the name of a file in licensed/ without its suffix; the top of the file says which licence
has to be accepted first. The blocks of the file are inserted into params.yaml with their comments,
and no other line is changed. Before it plans any stage, the runner inserts the blocks of every
expert and data set that `experts` and `datasets` name.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cell_synergy.core.config import LICENSED, merge, param_of
from cell_synergy.core.errors import ConfigError, report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.messages import PARAMS, suggest
from cell_synergy.core.yaml import mapping_of


def merge_named(params: Mapping[str, Any]) -> None:
    """Add to params.yaml missing blocks of the experts and data sets that it names.

    Parameters
    ----------
    params
        The content of params.yaml.

    Raises
    ------
    ConfigError
        If a block cannot be inserted.
    """
    named = {
        "encoders": [str(name) for name in param_of(params, "experts").values()],
        "data": param_of(params, "datasets"),
    }
    for section, section_names in named.items():
        present = params.get(section) or {}
        for name in dict.fromkeys(section_names):
            if name in names(section) and name not in present:
                add(name)


def names(section: str) -> list[str]:
    """Return the names of the files of licensed/ that have a block for a section of params.yaml."""
    return [name for name in _available() if section in mapping_of(LICENSED / f"{name}.yaml")]


def add(name: str) -> None:
    """Insert the blocks of one file of licensed/ into params.yaml, and log the insertion.

    Raises
    ------
    ConfigError
        If there is no such file, params.yaml has its blocks already, or a block cannot be inserted.
    """
    params, file = mapping_of(PARAMS), LICENSED / f"{name}.yaml"
    if name not in _available():
        raise ConfigError(f"{LICENSED}: no {name!r}{suggest(name, _available())}")
    blocks = mapping_of(file)
    new = {key: each for key, each in blocks.items() if not set(each) & set(params.get(key) or ())}
    if not new:
        raise ConfigError(f"{PARAMS} has {name!r} already; change its block there")
    lines = _lines(PARAMS)
    licensed = [line.rstrip("\r\n") + _line_end(lines) for line in _lines(file)]
    for section in new:
        lines = _inserted(lines, section, licensed[_extent(licensed, section)])
    with atomic_write(PARAMS) as path:
        path.write_bytes("".join(lines).encode())
        if _content(path) != merge(params, new):
            raise ConfigError(
                f"{PARAMS}: {file} cannot be inserted there, because the sections "
                f"{' and '.join(new)} are not indented by two blanks; copy its blocks by hand"
            )
    tqdm.write(f"{PARAMS}: added {name} from {file}")


def _available() -> list[str]:
    """Return the names of the files of licensed/."""
    return sorted(file.stem for file in LICENSED.glob("*.yaml"))


def _lines(path: Path) -> list[str]:
    """Return the lines of a file with their line ends; the last line is given one if need be."""
    lines = re.findall(r"[^\n]*\n|[^\n]+$", path.read_bytes().decode())
    return [*lines[:-1], lines[-1].rstrip("\r\n") + _line_end(lines)]


def _line_end(lines: Sequence[str]) -> str:
    """Return the line end of a file, which is that of its first line."""
    return "\r\n" if lines[0].endswith("\r\n") else "\n"


def _content(path: Path) -> Mapping[str, Any] | None:
    """Return the content of a YAML file; None if it is not valid."""
    try:
        return mapping_of(path)
    except ConfigError:
        return None


def _extent(lines: Sequence[str], section: str) -> slice:
    """Return the range of a section's lines, without its name and comments of the next section."""
    starts = [number for number, line in enumerate(lines, 1) if line.startswith(f"{section}:")]
    start = starts[-1] if starts else len(lines)
    inside = list(takewhile(lambda line: line[0] in " #\r\n", lines[start:]))
    while inside and (inside[-1].startswith("#") or not inside[-1].strip()):
        inside.pop()
    return slice(start, start + len(inside))


def _inserted(lines: Sequence[str], section: str, block: Sequence[str]) -> list[str]:
    """Return the lines with a block appended to a section; a missing section is added."""
    is_there = any(line.startswith(f"{section}:") for line in lines)
    name = [] if is_there else [f"{section}:{_line_end(lines)}"]
    end = _extent(lines, section).stop
    return [*lines[:end], *name, *block, *lines[end:]]


def main(words: Sequence[str]) -> None:
    """Add the blocks of the named files."""
    for name in words:
        add(name)


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(sys.argv[1:])
