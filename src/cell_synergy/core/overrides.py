"""Words of the command line: text, until the parameter they are for wants something else."""

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

_ROWS = (list, tuple, set, frozenset, Sequence)


class Word(str):
    """What stands behind `key=`, as it was written.

    A file name may have a `#`, a column may be called `1` or `yes`; so that the text stays what it
    is until `typed` knows the type of the parameter.
    """

    __slots__ = ("key",)
    key: str

    def __new__(cls, key: str, text: str) -> "Word":  # noqa: PYI034 - beartype knows no Self
        """Make the word `key=text`."""
        word = super().__new__(cls, text)
        word.key = key
        return word


def typed(value: object, kinds: Sequence[object]) -> object:
    """Return `value` with each `Word` in it as the types at its place want it.

    Parameters
    ----------
    value
        A word, a dictionary with words in it at any depth, or anything else, which stays.
    kinds
        Types, any of which the value may have: models, annotations.

    Returns
    -------
    :
        Text as it was written where text, a choice of words or a path is wanted (a path's `~` is
        the home folder); rows of text split at commas, or as the YAML list `[a, b]`; all else as
        YAML 1.2 has it. An empty word is None.
    """
    if isinstance(value, Word):
        return _meant(value, [leaf for kind in kinds for leaf in _leaves(kind)])
    if isinstance(value, Mapping):
        return {key: typed(inner, _inside(kinds, key)) for key, inner in value.items()}
    return value


def _meant(word: Word, leaves: Sequence[object]) -> object:
    if not word:
        return None
    if any(_is_row_of_text(leaf) for leaf in leaves):
        return _row(word)
    if Path in leaves:
        return os.path.expanduser(word)  # noqa: PTH111 - Path's own drops a slash at the end
    wanted = [leaf for leaf in leaves if leaf is not type(None)]
    return str(word) if all(_is_text(leaf) for leaf in wanted) else _yaml(word)


def _leaves(kind: object) -> Iterator[object]:
    """Yield the alternatives of an annotation."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _leaves(get_args(kind)[0])
    elif origin in {Union, types.UnionType}:
        for part in get_args(kind):
            yield from _leaves(part)
    else:
        yield kind


def _inside(kinds: Sequence[object], key: object) -> list[object]:
    """Return the types that stand below `key`."""
    found: list[object] = []
    for leaf in (leaf for kind in kinds for leaf in _leaves(kind)):
        if isinstance(leaf, type) and issubclass(leaf, BaseModel):
            if key in leaf.model_fields:
                found.append(leaf.model_fields[str(key)].annotation)
        elif get_origin(leaf) in {dict, Mapping}:
            found.append(get_args(leaf)[1])
    return found


def _is_text(leaf: object) -> bool:
    if get_origin(leaf) is Literal:
        return all(isinstance(choice, str) for choice in get_args(leaf))
    return leaf is str


def _is_row_of_text(leaf: object) -> bool:
    inner = [part for part in get_args(leaf) if part is not ...]
    return get_origin(leaf) in _ROWS and bool(inner) and all(map(_is_text, inner))


def _row(word: Word) -> tuple[str, ...]:
    if word.startswith("[") and word.endswith("]"):
        try:
            listed = YAML(typ="base").load(StringIO(word))
        except YAMLError:
            listed = None
        if isinstance(listed, list) and all(isinstance(part, str) for part in listed):
            return tuple(listed)
    parts = tuple(part.strip() for part in word.split(","))
    if not all(parts):
        raise ConfigError(f"{word.key}={word}: nothing stands between two commas; take one out")
    return parts


def _yaml(word: Word) -> Any:  # noqa: ANN401 - whatever was written
    try:
        return YAML(typ="safe").load(StringIO(word))
    except (YAMLError, ValueError) as error:
        raise ConfigError(
            f"{word.key}={word}: the value is not valid YAML; put it in quotes"
        ) from error
