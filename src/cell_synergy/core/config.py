"""Typed parameters: sections of params.yaml, with `a.b=value` arguments on top."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cell_synergy.core.errors import ConfigError

PARAMS = Path("params.yaml")
STAGES = Path("stages")
SHARED = (
    "method", "threads", "experts", "encoders", "finetune", "simulator", "training", "models",
    "tuning", "data", "datasets",
)  # fmt: skip
_ARGUMENT = "argument"  # where a stage's inputs and outputs are named


class Config(BaseModel):
    """Parameters that cannot be misspelt, mistyped or changed after they are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


C = TypeVar("C", bound=Config)


def section(name: str) -> dict[str, Any]:
    """Return one section of params.yaml; `name` may be dotted.

    Read as YAML 1.2, like DVC does: `1e-05` is a number, `010` is ten and `yes` is a word.
    """
    values: Any = _read()
    for depth, key in enumerate(parts := name.split(".")):
        if not isinstance(values, dict) or key not in values:
            above = ".".join(parts[:depth]) or PARAMS.name
            known = values if isinstance(values, dict) else {}
            raise ConfigError(f"{above} has no {key!r}{suggest(key, known)}")
        values = values[key]
    if not isinstance(values, dict):
        raise ConfigError(f"{PARAMS.name}: {name!r} is a single value, not a section")
    return values


def value(name: str) -> Any:  # noqa: ANN401 - whatever params.yaml holds there
    """Return one value of params.yaml; `name` may be dotted."""
    above, _, last = name.rpartition(".")
    values = section(above) if above else _read()
    if last not in values:
        raise ConfigError(f"{above or PARAMS.name} has no {last!r}{suggest(last, values)}")
    return values[last]


def _read() -> dict[str, Any]:
    """Read params.yaml, whose sections are those that stages share and one per stage."""
    values: dict[str, Any] = YAML(typ="safe").load(PARAMS)
    if STAGES.is_dir():
        known = [*SHARED, *(script.stem for script in STAGES.glob("[!_]*.py"))]
        if unknown := [str(key) for key in values if key not in known]:
            raise ConfigError(f"{PARAMS.name}: unknown {unknown[0]!r}{suggest(unknown[0], known)}")
    return values


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ": did you mean ...?" and the list of valid names, to end an error message with."""
    known = sorted(map(str, known))
    near = get_close_matches(name, known, n=1)
    listed = f"; valid: {', '.join(known)}" if known else ""
    return f" (did you mean {near[0]!r}?{listed})" if near else listed


def parse(overrides: Sequence[str]) -> dict[str, Any]:
    """Turn `a.b=value` words into a nested dictionary; values are YAML 1.2."""
    tree: dict[str, Any] = {}
    for word in overrides:
        key, equals, text = word.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(f"{word!r} is not of the form name.key=value")
        try:
            parsed = YAML(typ="safe").load(StringIO(text))
        except YAMLError as error:
            raise ConfigError(f"{word!r}: the value is not valid YAML") from error
        *above, last = key.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{word!r}: {part!r} already has a single value")
        node[last] = parsed
    return tree


def merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `top` over it, dictionaries merged key by key."""
    merged = dict(base)
    for key, new in top.items():
        old = merged.get(key)
        merged[key] = merge(old, new) if isinstance(old, dict) and isinstance(new, dict) else new
    return merged


def validate(config: type[C], values: Mapping[str, Any], where: str) -> C:
    """Build `config` from `values`; every mistake is named with its place `where` and a remedy."""
    try:
        return config.model_validate(dict(values))
    except ValidationError as error:
        lines = [_explain(detail, config, values, where) for detail in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def load(config: type[C], name: str, overrides: Sequence[str] = ()) -> C:
    """Read section `name` of params.yaml with `a.b=value` overrides on top."""
    return validate(config, merge(section(name), parse(overrides)), name)


def _explain(
    detail: ErrorDetails, config: type[BaseModel], values: Mapping[str, Any], where: str
) -> str:
    key = _place(detail["loc"], values)
    place = f"{where}.{key}" if key else where
    if detail["type"] == "extra_forbidden":
        *above, last = map(str, detail["loc"])
        return f"{place}: unknown parameter{suggest(last, _fields(config, above))}"
    if detail["type"] == "missing":
        remedy = f"add {key}" if where == _ARGUMENT else f"set it in params.yaml or as {place}"
        return f"{place}: missing; {remedy}=VALUE"
    return f"{place}: {detail['msg']}, got {detail['input']!r}"


def _place(loc: tuple[int | str, ...], values: Any) -> str:  # noqa: ANN401 - as YAML has it
    """Return the dotted key of an error, without the tags that pydantic adds for unions."""
    kept = []
    for depth, part in enumerate(loc, start=1):
        inside = isinstance(values, Mapping) and part in values
        if inside or isinstance(part, int) or depth == len(loc):
            kept.append(str(part))
        values = values[part] if inside else values
    return ".".join(kept)


def _fields(config: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the field names valid at `path` inside `config`, as far as they can be known."""
    models = [config]
    for part in path:
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        tagged = [
            model
            for model in models
            if any(get_args(field.annotation) == (part,) for field in model.model_fields.values())
        ]
        models = [m for field in fields for m in _models(field.annotation)] or tagged or models
    return [name for model in models for name in model.model_fields]


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def arguments(config: type[C], words: Sequence[str]) -> C:
    """Read a stage's inputs and outputs, all given as `name=value` words."""
    return validate(config, parse(words), _ARGUMENT)


def named(block: object, key: str, where: str) -> tuple[str, dict[str, Any]]:
    """Take the choice `key` out of a block of words; the rest overrides the chosen section."""
    if not isinstance(block, Mapping):
        raise ConfigError(f"{where}={block} is a single value; write {where}.{key}={block}")
    rest = dict(block)
    name = rest.pop(key, None)
    if not isinstance(name, str):
        raise ConfigError(f"{where}.{key}=NAME is missing")
    return name, rest
