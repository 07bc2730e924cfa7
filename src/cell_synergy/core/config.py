"""Typed parameters: sections of params.yaml, with `a.b=value` overrides on top.

`read_params`, `read_section`, `read_param` and `load` read params.yaml of the working directory.
Stages, public commands, notebooks and examples call them; the library takes values as arguments.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter, ValidationError

from cell_synergy.core.errors import ConfigError
from cell_synergy.core.messages import ARGUMENT, PARAMS, explain, shortened, suggest
from cell_synergy.core.overrides import Word, typed
from cell_synergy.core.yaml import line_of, mapping_of

STAGES = Path("stages")
LICENSED = Path("licensed")  # blocks of params.yaml that need a licence, a file each
SHARED = (
    "method", "threads", "experts", "encoders", "simulator", "training", "models", "data",
    "datasets", "circular", "information", "probe", "spatial",
)  # fmt: skip
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

    Raises
    ------
    ConfigError
        If there is no such file, it is not valid YAML, or has an unknown section.
    """
    params = mapping_of(PARAMS)
    if STAGES.is_dir():
        valid = [*SHARED, *(script.stem for script in STAGES.glob("[!_]*.py"))]
        if unknown := [str(key) for key in params if key not in valid]:
            line = _where([unknown[0]])
            raise ConfigError(f"{line}unknown {unknown[0]!r}{suggest(unknown[0], valid)}")
    return params


def read_section(name: str) -> dict[str, Any]:
    """Read a section of params.yaml (`a.b`: `b` in `a`); `ConfigError` if missing or no section."""
    return section_of(read_params(), name)


def read_param(name: str) -> Any:  # noqa: ANN401 - params.yaml may have any type there
    """Read a parameter of params.yaml (`a.b`: `b` in `a`); `ConfigError` if missing or invalid."""
    return param_of(read_params(), name)


def section_of(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one section of parameters.

    Parameters
    ----------
    params
        Parameters, as params.yaml has them.
    name
        The section; `a.b` is the section `b` inside `a`.

    Raises
    ------
    ConfigError
        If the section is missing, empty or a single value.
    """
    section: Any = params
    for depth, key in enumerate(keys := name.split(".")):
        if not isinstance(section, Mapping) or key not in section:
            valid = section if isinstance(section, Mapping) else {}
            raise _missing_key(".".join(keys[:depth]), key, valid)
        section = section[key]
    if not isinstance(section, dict):
        content = "empty" if section is None else f"{shortened(section)}, a single value"
        remedy = "write `name: value` lines below it, or {}"
        raise ConfigError(f"{_where(keys)}{name!r} is {content}, not a section; {remedy}")
    return section


def param_of(params: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - as in read_param
    """Return one parameter.

    Parameters
    ----------
    params
        Parameters, as params.yaml has them.
    name
        The parameter; `a.b` is `b` in the section `a`.

    Raises
    ------
    ConfigError
        If the parameter or its section is missing, or one at the top level is of the wrong type.
    """
    parent, _, key = name.rpartition(".")
    section = section_of(params, parent) if parent else params
    if key not in section:
        raise _missing_key(parent, key, section)
    if name in _TOP_LEVEL:
        kind, expected = _TOP_LEVEL[name]
        try:
            TypeAdapter(kind).validate_python(section[name], strict=True)
        except ValidationError as error:
            message = f"{name} is {shortened(section[name])}, and has to be {expected}"
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


def parse(overrides: Sequence[str], file: str = "") -> dict[str, Any]:
    """Parse `a.b=value` overrides into a nested dictionary, `{"a": {"b": value}}`.

    A value is a `Word`, text that `validate` converts to the type of its parameter.

    Parameters
    ----------
    overrides
        Texts of the form `a.b=value`.
    file
        Name of an argument that takes a file, which the message on a text without `=` suggests.

    Raises
    ------
    ConfigError
        If an override is not of the form `name.key=value`, or two set one parameter.
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
    """Return `base` with the parameters in `top` replaced; nested sections are merged key by key.

    Parameters
    ----------
    base
        Parameters. A text is short for `{kind: text}` if `top` has a section at its key.
    top
        New values and new parameters; `ConfigError` if it is a single word.
    """
    merged = dict(base)
    for key, new in _block(top).items():
        old = merged.get(key)
        if isinstance(old, str) and not isinstance(old, Word) and isinstance(new, dict):
            old = {"kind": old}
        merged[key] = merge(old, new) if isinstance(old, dict) and isinstance(new, dict) else new
    return merged


def validate(config: type[C], values: Mapping[str, Any] | Word, where: str) -> C:
    """Return a configuration of the class `config`, built from values after a check of each.

    Parameters
    ----------
    config
        Class of the configuration.
    values
        Its values; each `Word` (text from the command line) in them is converted to the type of its
        parameter. A `Word` in place of the whole mapping is an error.
    where
        Dotted name of the section that the values are from, for messages.

    Raises
    ------
    ConfigError
        If a value is wrong, missing or unknown; the message has a line for each, with its key and a
        remedy. A word that cannot be converted is reported alone.
    """
    values = _block(values)
    converted = typed(values, [config])
    try:
        return config.model_validate(converted)
    except ValidationError as error:
        raise ConfigError(explain(error, config, values, where)) from error


def _block(values: Mapping[str, Any] | Word) -> Mapping[str, Any]:
    """Refuse a single word where a block of parameters is expected."""
    if isinstance(values, Word):
        key = values.key
        raise ConfigError(f"{key}={values} is a single value; write {key}.NAME={values}")
    return values


def load(config: type[C], name: str, overrides: Mapping[str, Any] | Word | None = None) -> C:
    """Read one section of params.yaml as a configuration.

    Parameters
    ----------
    config
        Class of the configuration, which has to have every key of the section.
    name, overrides
        The section (`a.b`: `b` in `a`), and values that replace some of its values.

    Raises
    ------
    ConfigError
        If params.yaml or the section is missing, or a value is missing, unknown or wrong.
    """
    section = read_section(name)
    return validate(config, section if overrides is None else merge(section, overrides), name)


def load_keys(config: type[C], name: str, overrides: Mapping[str, Any] | None = None) -> C:
    """Read a configuration from the keys of one section of params.yaml that its class has.

    Parameters
    ----------
    config
        Class of the configuration; keys of the section that it lacks are ignored.
    name, overrides
        The section (`a.b`: `b` in `a`), and values that replace some of its values.

    Raises
    ------
    ConfigError
        If the section or a value is missing or wrong, or an override is of a key that the class
        lacks.
    """
    section, overrides = read_section(name), overrides or {}
    for key in overrides:
        if key in section and key not in config.model_fields:
            raise ConfigError(f"{name}.{key} is not used here; leave it out")
    merged = merge({key: section[key] for key in config.model_fields if key in section}, overrides)
    return validate(config, merged, name)


def arguments(config: type[C], words: Sequence[str]) -> C:
    """Return the arguments of a stage, parsed and checked.

    Parameters
    ----------
    config, words
        Class of the arguments, and the words `name=value` of the command line.

    Raises
    ------
    ConfigError
        If a word is not of the form `name=value`, or an argument is missing, unknown or wrong.
    """
    return validate(config, parse(words), ARGUMENT)
