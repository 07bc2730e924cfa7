"""YAML files of the repository; an error names the file, the line and the remedy."""

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
    """Return the mapping in a YAML file of `name: value` lines.

    It is read as YAML 1.2, like DVC does: `1e-05` is a number, `010` is ten and `yes` is a word.

    Raises
    ------
    ConfigError
        If the file is missing, is not UTF-8 or YAML, or has no mapping.
    """
    try:
        content = YAML(typ="safe").load(_text(path))
    except MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        problem = " ".join(str(error.problem or error.context).split())
        raise ConfigError(
            f"{path.name}{line}: not valid YAML, {problem}; correct this line"
        ) from error
    except (YAMLError, ValueError) as error:  # an impossible date is a ValueError
        if isinstance(error, ConfigError):
            raise
        problem = " ".join(str(error).split())
        raise ConfigError(f"{path.name}: not valid YAML, {problem}; correct it") from error
    remedy = f"`git checkout {path.name}` restores the study's file"
    if content is None:
        raise ConfigError(f"{path.name}: holds nothing; {remedy}")
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else f"the single value {content!r:.60}"
        raise ConfigError(f"{path.name}: holds {kind}, not `name: value` lines; {remedy}")
    return content


def line_of(path: Path, keys: Sequence[str]) -> int | None:
    """Return the line number, from 1, of a key in a YAML file; None if it cannot be determined.

    Parameters
    ----------
    path
        The file.
    keys
        Keys of the enclosing mappings, from the outermost, followed by the key itself.

    Raises
    ------
    ConfigError
        If the file is not UTF-8.
    """
    if not path.is_file():
        return None
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(_text(path))
    except (YAMLError, RecursionError):  # this parser is stricter than the one of `mapping_of`
        return None
    line = None
    for key in keys:
        pairs = node.value if isinstance(node, MappingNode) else ()
        matching = [(name, value) for name, value in pairs if name.value == key]
        if not matching:
            return None
        name, node = matching[-1]
        line = int(name.start_mark.line) + 1
    return line


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        folder = Path.cwd()
        root = next((parent for parent in folder.parents if (parent / path).is_file()), None)
        remedy = f"`cd {root}`" if root else "the folder that has it"
        raise ConfigError(
            f"no {path.name} in {folder}; run this from the root of the repository: {remedy}"
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
