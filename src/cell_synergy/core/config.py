"""Typed parameters: sections of params.yaml, with `a.b=value` arguments on top."""

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
SHARED = (
    "method", "threads", "experts", "encoders", "finetune", "simulator", "training", "models",
    "tuning", "data", "datasets",
)  # fmt: skip
_LONG = 80  # letters of a value that a message shows
_ARGUMENT = "argument"  # where a stage's inputs and outputs are named
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
    "experts": (dict[str, str], "experts by what they read: `experts: {image: NAME}`"),
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
            parent = ".".join(keys[:depth]) or PARAMS.name
            valid = section if isinstance(section, Mapping) else {}
            raise ConfigError(f"{parent} has no {key!r}{suggest(key, valid)}")
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
        raise ConfigError(f"{parent or PARAMS.name} has no {key!r}{suggest(key, section)}")
    if name in _TOP_LEVEL:
        kind, expected = _TOP_LEVEL[name]
        try:
            TypeAdapter(kind).validate_python(section[name], strict=True)
        except ValidationError as error:
            message = f"{name} is {_shortened(section[name])}, and has to be {expected}"
            raise ConfigError(f"{_where([name])}{message}") from error
    return section[key]


def _where(keys: Sequence[str]) -> str:
    """Return the place of a key of params.yaml, to begin a message with."""
    line = line_of(PARAMS, keys)
    return f"{PARAMS.name}: " if line is None else f"{PARAMS.name}, line {line}: "


def _shortened(value: object) -> str:
    """Return a value as a message has it: short."""
    text = "empty" if value is None else repr(str(value) if isinstance(value, Word) else value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ": did you mean ...?" and the list of valid names, to end an error message with."""
    known = sorted(map(str, known))
    near = get_close_matches(name, known, n=1)
    listed = f"; valid: {', '.join(known)}" if known else ""
    return f" (did you mean {near[0]!r}?{listed})" if near else listed


def parse(overrides: Sequence[str], file: str = "") -> dict[str, Any]:
    """Turn `a.b=value` words into a nested dictionary of texts.

    What a text means is decided where the type of its parameter is known, in `validate`.

    Parameters
    ----------
    overrides
        The words.
    file
        Name of the word that takes a file, for whoever gives a file alone.
    """
    tree: dict[str, Any] = {}
    for word in overrides:
        key, equals, text = word.partition("=")
        if not equals or not all(key.split(".")):
            meant = file and not equals and f"; did you mean {file}={word}?"
            raise ConfigError(f"{word!r} is not of the form name.key=value{meant or ''}")
        *above, last = key.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{word!r}: {part!r} already has a single value")
        if last in node:
            first = node[last]
            had = f"{key}={first}" if isinstance(first, Word) else f"{key}.{next(iter(first))}"
            raise ConfigError(f"{key} is given twice ({had} and {word}); keep one of them")
        node[last] = Word(key, text)
    return tree


def merge(base: Mapping[str, Any], top: Mapping[str, Any] | Word) -> dict[str, Any]:
    """Return `base` with the values of `top` over it, dictionaries merged key by key."""
    merged = dict(base)
    for key, new in _block(top).items():
        old = merged.get(key)
        merged[key] = merge(old, new) if isinstance(old, dict) and isinstance(new, dict) else new
    return merged


def validate(config: type[C], values: Mapping[str, Any] | Word, where: str) -> C:
    """Build `config` from `values`; every mistake is named with its place `where` and a remedy."""
    values = _block(values)
    given = typed(values, [config])
    try:
        return config.model_validate(given)
    except ValidationError as error:
        details = error.errors()
        meant = {_meant(detail, config) for detail in details}
        kept = [d for d in details if d["type"] != "missing" or d["loc"] not in meant]
        lines = [_explain(detail, config, values, where) for detail in kept]
        raise ConfigError("\n".join(lines)) from error


def _block(values: Mapping[str, Any] | Word) -> Mapping[str, Any]:
    """Refuse a word that stands for a whole block."""
    if isinstance(values, Word):
        key = values.key
        raise ConfigError(f"{key}={values} is a single value; write {key}.NAME={values}")
    return values


def _meant(detail: ErrorDetails, config: type[BaseModel]) -> tuple[int | str, ...]:
    """Return the place that an unknown name was meant for, as far as can be guessed."""
    if detail["type"] != "extra_forbidden":
        return ()
    *above, last = detail["loc"]
    near = get_close_matches(str(last), _fields(config, list(map(str, above))), n=1)
    return (*above, *near)


def load(config: type[C], name: str, overrides: Mapping[str, Any] | Word | None = None) -> C:
    """Read section `name` of params.yaml as a configuration, with nested overrides on top."""
    section = read_section(name)
    return validate(config, section if overrides is None else merge(section, overrides), name)


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
    told = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "path_type":
        told = "Input should be the path of a file or folder"
    return f"{place}: {told}, got {_shortened(detail['input'])}{_source(place, detail)}"


def _source(place: str, detail: ErrorDetails) -> str:
    """Return the line of params.yaml that a wrong value stands in, if it stands there."""
    node: Any = mapping_of(PARAMS) if PARAMS.is_file() else None
    for key in (keys := place.split(".")):
        node = node.get(key) if isinstance(node, dict) else None
    line = line_of(PARAMS, keys) if node is not None and node == detail["input"] else None
    return "" if line is None else f" ({PARAMS.name}, line {line})"


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


def pop_choice(block: object, key: str, where: str) -> tuple[str, dict[str, Any]]:
    """Split a block of overrides into the name under `key` and the other overrides.

    Parameters
    ----------
    block
        Overrides, of which `key` names a section of params.yaml and the others change values of
        that section. It stays as it is.
    key, where
        `where.key=NAME` is the argument that has the name.
    """
    if not isinstance(block, Mapping):
        raise ConfigError(f"{where}={block} is a single value; write {where}.{key}={block}")
    overrides = {name: value for name, value in block.items() if name != key}
    name = block.get(key)
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{where}.{key}=NAME is missing")
    if "/" in name or name in {".", ".."}:
        raise ConfigError(f"{where}.{key}={name} is a path, not a name; params.yaml has the names")
    if isinstance(overrides.get(name), Mapping):
        inner = next(iter(overrides[name]), "NAME")
        raise ConfigError(
            f"{where}.{name}.{inner}: {where}.{key}={name} names the block already; did you mean "
            f"{where}.{inner}=VALUE?"
        )
    return str(name), overrides
