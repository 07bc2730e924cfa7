"""Typed parameters: sections of params.yaml, with `a.b=value` overrides on top.

`read_params`, `read_section`, `read_param` and `load` read params.yaml of the working directory.
Stages, public commands, notebooks and examples call them; the library takes values as arguments.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from cell_synergy.core.errors import ConfigError
from cell_synergy.core.overrides import Word, typed
from cell_synergy.core.yaml import line_of, mapping_of

PARAMS = Path("params.yaml")
STAGES = Path("stages")
LICENSED = Path("licensed")  # blocks of params.yaml that need a licence, a file each
SHARED = (
    "method", "threads", "experts", "encoders", "simulator", "training", "models", "tuning", "data",
    "datasets", "circular", "information", "probe", "spatial",
)  # fmt: skip
_LONG = 80  # maximal length of a value in a message
_ARGUMENT = "argument"  # prefix of the arguments of a stage or command in messages
_TOP_LEVEL: dict[str, tuple[Any, str]] = {
    "method": (str, "the name of a method: `method: comm`"),
    "threads": (PositiveInt, "a whole number, 1 or more: `threads: 1`"),
    "datasets": (
        Annotated[list[str], Field(min_length=1)],
        "a list of data sets, one at least: `datasets: [lung, breast]`",
    ),
    "models": (
        Annotated[dict[str, dict[str, Any]], Field(min_length=1)],
        "a block of methods by name, one at least: `models: {concat: {}}`",
    ),
    "experts": (dict[str, str], "experts by modality: `experts: {image: NAME}`"),
    "circular": (dict[str, list[str]], "lists of tasks by data set: `circular: {lung: [region]}`"),
}


class Config(BaseModel):
    """Parameters that cannot be misspelt, mistyped or changed after they are read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


C = TypeVar("C", bound=Config)


def read_params() -> dict[str, Any]:
    """Read params.yaml of the working directory; for commands, stages and notebooks.

    Its top level has the sections that stages share, and one section per stage.
    """
    params = mapping_of(PARAMS)
    if STAGES.is_dir():
        valid = [*SHARED, *(script.stem for script in STAGES.glob("[!_]*.py"))]
        if unknown := [str(key) for key in params if key not in valid]:
            line = _where([unknown[0]])
            raise ConfigError(f"{line}unknown {unknown[0]!r}{suggest(unknown[0], valid)}")
    return params


def read_section(name: str) -> dict[str, Any]:
    """Read one section of params.yaml; `name` may be dotted."""
    return section_of(read_params(), name)


def read_param(name: str) -> Any:  # noqa: ANN401 - params.yaml may have any type there
    """Read one parameter of params.yaml; `name` may be dotted."""
    return param_of(read_params(), name)


def section_of(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one section of parameters; `name` may be dotted."""
    section: Any = params
    for depth, key in enumerate(keys := name.split(".")):
        if not isinstance(section, Mapping) or key not in section:
            valid = section if isinstance(section, Mapping) else {}
            raise _missing_key(".".join(keys[:depth]), key, valid)
        section = section[key]
    if not isinstance(section, dict):
        content = "empty" if section is None else f"{_shortened(section)}, a single value"
        remedy = "write `name: value` lines below it, or {}"
        raise ConfigError(f"{_where(keys)}{name!r} is {content}, not a section; {remedy}")
    return section


def param_of(params: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - as in read_param
    """Return one parameter; `name` may be dotted."""
    parent, _, key = name.rpartition(".")
    section = section_of(params, parent) if parent else params
    if key not in section:
        raise _missing_key(parent, key, section)
    if name in _TOP_LEVEL:
        kind, expected = _TOP_LEVEL[name]
        try:
            TypeAdapter(kind).validate_python(section[name], strict=True)
        except ValidationError as error:
            message = f"{name} is {_shortened(section[name])}, and has to be {expected}"
            raise ConfigError(f"{_where([name])}{message}") from error
    return section[key]


def _missing_key(parent: str, key: str, valid: Iterable[str]) -> ConfigError:
    """Return the error for a key that a section (or the file, where `parent` is "") lacks."""
    message = f"{parent or PARAMS.name} has no {key!r}"
    if key in {file.stem for file in LICENSED.glob("*.yaml")}:
        return ConfigError(
            f"{message}, which needs a licence (see {LICENSED}/{key}.yaml); "
            f"`python -m cell_synergy.studies.licensed {key}` adds it to {PARAMS.name}"
        )
    return ConfigError(f"{message}{suggest(key, valid)}")


def _where(keys: Sequence[str]) -> str:
    """Return file and line of a key of params.yaml, as the start of a message."""
    line = line_of(PARAMS, keys)
    return f"{PARAMS.name}: " if line is None else f"{PARAMS.name}, line {line}: "


def _shortened(value: object) -> str:
    """Return a value in the short form of a message."""
    text = "empty" if value is None else repr(str(value) if isinstance(value, Word) else value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."


def suggest(name: str, valid: Iterable[str]) -> str:
    """Return "did you mean ...?" and the list of valid names, as the end of an error message."""
    valid = sorted(map(str, valid))
    near = get_close_matches(name, valid, n=1)
    listed = f"; valid: {', '.join(valid)}" if valid else ""
    return f" (did you mean {near[0]!r}?{listed})" if near else listed


def parse(overrides: Sequence[str], file: str = "") -> dict[str, Any]:
    """Parse `a.b=value` overrides into a nested dictionary of words.

    A word is text; `validate` converts it to the type of its parameter.

    Parameters
    ----------
    overrides
        The overrides.
    file
        Name of the argument that takes a file, for the error message if a file is given without
        a name.
    """
    tree: dict[str, Any] = {}
    for word in overrides:
        key, equals, text = word.partition("=")
        if not equals or not all(key.split(".")):
            hint = f"; did you mean {file}={word}?" if file and not equals else ""
            raise ConfigError(f"{word!r} is not of the form name.key=value{hint}")
        *parents, last = key.split(".")
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{word!r}: {part!r} already has a single value")
        if last in node:
            first = node[last]
            earlier = f"{key}={first}" if isinstance(first, Word) else f"{key}.{next(iter(first))}"
            raise ConfigError(f"{key} is given twice ({earlier} and {word}); keep one of them")
        node[last] = Word(key, text)
    return tree


def merge(base: Mapping[str, Any], top: Mapping[str, Any] | Word) -> dict[str, Any]:
    """Return `base` with the values of `top` over it, dictionaries merged key by key.

    A bare word in `base` is short for `{kind: word}` where `top` has keys below it.
    """
    merged = dict(base)
    for key, new in _block(top).items():
        old = merged.get(key)
        if isinstance(old, str) and not isinstance(old, Word) and isinstance(new, dict):
            old = {"kind": old}
        merged[key] = merge(old, new) if isinstance(old, dict) and isinstance(new, dict) else new
    return merged


def validate(config: type[C], values: Mapping[str, Any] | Word, where: str) -> C:
    """Build `config` from `values`.

    The error message names every wrong value by its key below `where`, and a remedy.
    """
    values = _block(values)
    converted = typed(values, [config])
    try:
        return config.model_validate(converted)
    except ValidationError as error:
        details = error.errors()
        misspelt = {_likely_field(detail, config) for detail in details}
        reported = [d for d in details if d["type"] != "missing" or d["loc"] not in misspelt]
        lines = [_explain(detail, config, values, where) for detail in reported]
        raise ConfigError("\n".join(lines)) from error


def _block(values: Mapping[str, Any] | Word) -> Mapping[str, Any]:
    """Refuse a single word where a block of parameters is expected."""
    if isinstance(values, Word):
        key = values.key
        raise ConfigError(f"{key}={values} is a single value; write {key}.NAME={values}")
    return values


def _likely_field(detail: ErrorDetails, config: type[BaseModel]) -> tuple[int | str, ...]:
    """Return the path of the field that an unknown name probably misspells."""
    if detail["type"] != "extra_forbidden":
        return ()
    *parents, last = detail["loc"]
    near = get_close_matches(str(last), _fields(config, list(map(str, parents))), n=1)
    return (*parents, *near)


def load(config: type[C], name: str, overrides: Mapping[str, Any] | Word | None = None) -> C:
    """Read section `name` of params.yaml as a configuration, with nested overrides on top."""
    section = read_section(name)
    return validate(config, section if overrides is None else merge(section, overrides), name)


def load_keys(config: type[C], name: str, overrides: Mapping[str, Any] | None = None) -> C:
    """Read those keys of section `name` that `config` has, with nested overrides on top.

    Raises
    ------
    ConfigError
        If a value is wrong, or an override is of a key that is not read here.
    """
    section, overrides = read_section(name), overrides or {}
    for key in overrides:
        if key in section and key not in config.model_fields:
            raise ConfigError(f"{name}.{key} is not used here; leave it out")
    merged = merge({key: section[key] for key in config.model_fields if key in section}, overrides)
    return validate(config, merged, name)


def _explain(
    detail: ErrorDetails, config: type[BaseModel], values: Mapping[str, Any], where: str
) -> str:
    key = _dotted_key(detail["loc"], values)
    name = f"{where}.{key}" if key else where
    if detail["type"] == "extra_forbidden":
        *parents, last = map(str, detail["loc"])
        return f"{name}: unknown parameter{suggest(last, _fields(config, parents))}"
    if detail["type"] == "missing":
        remedy = f"add {key}" if where == _ARGUMENT else f"set it in params.yaml or as {name}"
        return f"{name}: missing; {remedy}=VALUE"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "path_type":
        message = "Input should be the path of a file or folder"
    return f"{name}: {message}, got {_shortened(detail['input'])}{_source(name, detail)}"


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


def arguments(config: type[C], words: Sequence[str]) -> C:
    """Parse the arguments of a stage, which are `name=value` words."""
    return validate(config, parse(words), _ARGUMENT)
