"""YAML files of the repository: read whole, or refused in a line that says where and why."""

import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node

from cell_synergy.core.errors import ConfigError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def mapping_of(path: Path) -> dict[str, Any]:
    """Read a YAML file of `name: value` lines.

    Read as YAML 1.2, like DVC does: `1e-05` is a number, `010` is ten and `yes` is a word.

    Raises
    ------
    ConfigError
        If it is not here, is no UTF-8, no YAML, or holds something else.
    """
    try:
        found = YAML(typ="safe").load(_text(path))
    except MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        told = " ".join(str(error.problem or error.context).split())
        raise ConfigError(f"{path.name}{line}: not valid YAML, {told}; mend this line") from error
    except (YAMLError, ValueError) as error:  # a date that is none is a ValueError
        if isinstance(error, ConfigError):
            raise
        told = " ".join(str(error).split())
        raise ConfigError(f"{path.name}: not valid YAML, {told}; mend it") from error
    back = f"`git checkout {path.name}` brings the study's back"
    if found is None:
        raise ConfigError(f"{path.name}: holds nothing; {back}")
    if not isinstance(found, dict):
        kind = "a list" if isinstance(found, list) else f"the single value {found!r:.60}"
        raise ConfigError(f"{path.name}: holds {kind}, not `name: value` lines; {back}")
    return found


def line_of(path: Path, keys: Sequence[str]) -> int | None:
    """Return the line, from 1, where a key stands in a YAML file, or None."""
    if not path.is_file():
        return None
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(_text(path))
    except (YAMLError, RecursionError):  # stricter than what `mapping_of` read the file with
        return None
    line = None
    for key in keys:
        pairs = node.value if isinstance(node, MappingNode) else ()
        found = [(name, content) for name, content in pairs if name.value == key]
        if not found:
            return None
        name, node = found[-1]
        line = int(name.start_mark.line) + 1
    return line


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        here = Path.cwd()
        root = next((folder for folder in here.parents if (folder / path).is_file()), None)
        way = f"`cd {root}`" if root else "the folder that has it"
        raise ConfigError(
            f"no {path.name} in {here}; run this from the root of the repository: {way}"
        ) from None
    if raw.startswith(_UTF16):
        raise ConfigError(f"{path.name}: saved as UTF-16; save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path.name}, line {line}: byte 0x{raw[error.start]:02x} is no UTF-8; save the file "
            "as UTF-8"
        ) from error
