"""Overrides of the command line: text, until the type of the parameter is known."""

import os
import types
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cell_synergy.core.errors import ConfigError

_SEQUENCES = (list, tuple, set, frozenset, Sequence)


class Word(str):
    """The text after `key=` of the command line, as it was written.

    A file name may have a `#`, a column may be called `1` or `yes`. The text is therefore converted
    only by `typed`, given the type of the parameter.
    """

    __slots__ = ("key",)
    key: str

    def __new__(cls, key: str, text: str) -> "Word":  # noqa: PYI034 - beartype knows no Self
        """Make the word `key=text`."""
        word = super().__new__(cls, text)
        word.key = key
        return word


def typed(value: object, kinds: Sequence[object]) -> object:
    """Return `value` with each `Word` in it converted to the type of its parameter.

    Parameters
    ----------
    value
        A word, a dictionary that has words at any depth, or anything else, which is returned as it
        is.
    kinds
        The types that the parameter may have: pydantic models and annotations.

    Returns
    -------
    :
        Text as it was written where the type is text, a choice of texts or a path (in which `~`
        becomes the home folder). A sequence where the type is one: the word is split at commas, or
        read as the YAML list `[a, b]`. A word of type `Any` stays a word, to be converted when its
        type is known. All else is read as YAML 1.2. An empty word is None.

    Raises
    ------
    ConfigError
        If a word is not valid YAML where it is read as such, or has nothing between two commas.
    """
    if isinstance(value, Word):
        return _converted(value, [leaf for kind in kinds for leaf in _alternatives(kind)])
    if isinstance(value, Mapping):
        return {key: typed(inner, _types_below(kinds, key)) for key, inner in value.items()}
    return value


def _converted(word: Word, kinds: Sequence[object]) -> object:
    if Any in kinds:
        return word
    if not word:
        return None
    if any(_is_sequence_of_text(kind) for kind in kinds):
        return _texts(word)
    if any(get_origin(kind) in _SEQUENCES for kind in kinds) and not word.startswith("["):
        return tuple(_yaml(Word(word.key, part)) for part in _parts(word))
    if Path in kinds:
        return os.path.expanduser(word)  # noqa: PTH111 - Path's own drops a slash at the end
    present = [kind for kind in kinds if kind is not type(None)]
    return str(word) if all(_is_text(kind) for kind in present) else _yaml(word)


def _alternatives(kind: object) -> Iterator[object]:
    """Yield the alternatives of an annotation."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _alternatives(get_args(kind)[0])
    elif origin in {Union, types.UnionType}:
        for part in get_args(kind):
            yield from _alternatives(part)
    else:
        yield kind


def _types_below(kinds: Sequence[object], key: object) -> list[object]:
    """Return the types that a value under `key` may have."""
    below: list[object] = []
    for kind in (kind for each in kinds for kind in _alternatives(each)):
        if kind is Any:
            below.append(Any)
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            if key in kind.model_fields:
                below.append(kind.model_fields[str(key)].annotation)
        elif get_origin(kind) in {dict, Mapping}:
            below.append(get_args(kind)[1])
    return below


def _is_text(kind: object) -> bool:
    if get_origin(kind) is Literal:
        return all(isinstance(choice, str) for choice in get_args(kind))
    return kind is str


def _is_sequence_of_text(kind: object) -> bool:
    item_types = [part for part in get_args(kind) if part is not ...]
    return get_origin(kind) in _SEQUENCES and bool(item_types) and all(map(_is_text, item_types))


def _texts(word: Word) -> tuple[str, ...]:
    if word.startswith("[") and word.endswith("]"):
        try:
            items = YAML(typ="base").load(StringIO(word))
        except YAMLError:
            items = None
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return tuple(items)
    return _parts(word)


def _parts(word: Word) -> tuple[str, ...]:
    """Return the parts of a word between its commas."""
    parts = tuple(part.strip() for part in word.split(","))
    if not all(parts):
        raise ConfigError(
            f"{word.key}={word}: there is nothing between two commas; take one comma out"
        )
    return parts


def _yaml(word: Word) -> Any:  # noqa: ANN401 - a YAML value may have any type
    try:
        return YAML(typ="safe").load(StringIO(word))
    except (YAMLError, ValueError) as error:
        raise ConfigError(
            f"{word.key}={word}: the value is not valid YAML; put it in quotes"
        ) from error


def pop_choice(block: object, key: str, where: str) -> tuple[str, dict[str, Any]]:
    """Return the name under a key of a block of overrides, and the other overrides.

    Parameters
    ----------
    block
        Overrides, of which `key` names a section of params.yaml and the others change values of
        that section. It is not changed.
    key
        Key of the name, as in `models.name=comm`.
    where
        Dotted name of the block, for messages: there `models`.

    Raises
    ------
    ConfigError
        If the block is a single value, the name is missing or a path, or the overrides are nested
        below the name.
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
