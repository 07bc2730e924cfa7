"""Error messages about parameters: the wrong key, its value and line, and what is valid there."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cell_synergy.core.overrides import Word
from cell_synergy.core.yaml import line_of, mapping_of

PARAMS = Path("params.yaml")
ARGUMENT = "argument"  # prefix of the arguments of a stage or command in messages
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")  # as pydantic lists the valid words
_LONG = 80  # maximal length of a value in a message


def suggest(name: str, valid: Iterable[str]) -> str:
    """Return the end of an error message: a similar valid name, if any, and all valid names.

    Parameters
    ----------
    name
        The name that is not valid.
    valid
        The valid names; without any, the result is "".
    """
    valid = sorted(map(str, valid))
    near = get_close_matches(name, valid, n=1)
    listed = f"; valid: {', '.join(valid)}" if valid else ""
    return f" (did you mean {near[0]!r}?{listed})" if near else listed


def shortened(value: object) -> str:
    """Return a value as text for a message, cut off after 80 characters."""
    text = "empty" if value is None else repr(str(value) if isinstance(value, Word) else value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."


def explain(
    error: ValidationError, config: type[BaseModel], values: Mapping[str, Any], where: str
) -> str:
    """Return a line for each wrong value of a configuration, with its key and a remedy.

    Parameters
    ----------
    error
        Error of pydantic's validation.
    config, values
        Class of the configuration, and the values that were validated.
    where
        Dotted name of the section of params.yaml that the values are from, or `ARGUMENT`.
    """
    details = error.errors()
    misspelt = {_likely_field(detail, config) for detail in details}
    reported = [d for d in details if d["type"] != "missing" or d["loc"] not in misspelt]
    return "\n".join(_explain(detail, config, values, where) for detail in reported)


def _likely_field(detail: ErrorDetails, config: type[BaseModel]) -> tuple[int | str, ...]:
    """Return the path of the field that an unknown name probably misspells."""
    if detail["type"] != "extra_forbidden":
        return ()
    *parents, last = detail["loc"]
    near = get_close_matches(str(last), _fields(config, list(map(str, parents))), n=1)
    return (*parents, *near)


def _explain(
    detail: ErrorDetails, config: type[BaseModel], values: Mapping[str, Any], where: str
) -> str:
    key = _dotted_key(detail["loc"], values)
    name = f"{where}.{key}" if key else where
    if detail["type"] == "extra_forbidden":
        *parents, last = map(str, detail["loc"])
        return f"{name}: unknown parameter{suggest(last, _fields(config, parents))}"
    if detail["type"] == "missing":
        return f"{name}: missing; {_remedy(key, where)}"
    if detail["type"] in {"union_tag_invalid", "literal_error"} and "ctx" in detail:
        return _unknown_kind(name, detail)
    if detail["type"] in {"union_tag_not_found", "model_attributes_type"}:
        return f"{name}: write a block with a key `kind`, {{kind: NAME}}{_source(name, detail)}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error" and isinstance(detail["input"], Mapping):
        return f"{name}: {message}"
    if detail["type"] == "path_type":
        message = "Input should be the path of a file or folder"
    return f"{name}: {message}, got {shortened(detail['input'])}{_source(name, detail)}"


def _remedy(key: str, where: str) -> str:
    """Return where a missing value is written: in params.yaml, or as an argument.

    An argument does not repeat the name in a section of several blocks: `data.KEY` overrides
    `data.NAME.KEY`.
    """
    section, _, name = where.partition(".")
    argument = f"{key if where == ARGUMENT else f'{where}.{key}'}=VALUE"
    if not (PARAMS.is_file() and section in mapping_of(PARAMS)):
        return f"add {argument}"
    return f"set it in {PARAMS.name}" if name else f"set it in {PARAMS.name} or as {argument}"


def _unknown_kind(name: str, detail: ErrorDetails) -> str:
    """Return the message about a value that is none of several words."""
    context = detail["ctx"]
    listed = str(context.get("expected_tags", context.get("expected")))
    valid = [single or double for single, double in _QUOTED.findall(listed)]
    word = str(context.get("tag", detail["input"]))
    name = f"{name}.kind" if "tag" in context else name.removesuffix(".[key]")
    return f"{name}: no {word!r}{suggest(word, valid)}{_source(name, detail)}"


def _source(name: str, detail: ErrorDetails) -> str:
    """Return the line of params.yaml that has a wrong value, if the value comes from there."""
    node: Any = mapping_of(PARAMS) if PARAMS.is_file() else None
    for key in (keys := name.split(".")):
        node = node.get(key) if isinstance(node, dict) else None
    line = line_of(PARAMS, keys) if node is not None and node == detail["input"] else None
    return "" if line is None else f" ({PARAMS.name}, line {line})"


def _dotted_key(loc: tuple[int | str, ...], values: Any) -> str:  # noqa: ANN401 - as YAML has it
    """Return the dotted key of an error, without the tags that pydantic adds for unions."""
    parts: list[str] = []
    is_tag = False
    for depth, part in enumerate(loc, start=1):
        inside = isinstance(values, Mapping)
        kind = values.get("kind") if inside else values
        if is_tag := not is_tag and depth > 1 and kind == part:
            continue
        inside = inside and part in values
        if inside or isinstance(part, int) or depth == len(loc):
            parts.append(str(part))
        values = values[part] if inside else values
    return ".".join(parts)


def _fields(config: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the field names that are valid at `path` inside `config`.

    Where a union decides, those of all its alternatives that fit the path.
    """
    models = [config]
    for part in path:
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        tagged = [
            model
            for model in models
            if any(part in get_args(field.annotation) for field in model.model_fields.values())
        ]
        models = [m for field in fields for m in _models(field.annotation)] or tagged or models
    return [name for model in models for name in model.model_fields]


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
