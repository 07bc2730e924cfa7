"""Checkpoints of training runs in PyTorch's format; an unusable one is renamed with a message."""

import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from tqdm import tqdm

from cell_synergy.core import filetypes, tensors
from cell_synergy.core.errors import DataError
from cell_synergy.core.files import atomic_write

State = Mapping[str, Any]
"""State of a training run: tensors, numbers and containers of these, by name."""

_MISMATCH = (
    AttributeError, DataError, IndexError, KeyError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


def save_state(path: Path, state: State) -> None:
    """Write a checkpoint; a kill during the write leaves the previous one.

    Parameters
    ----------
    path
        The checkpoint; its folder is created if it is missing.
    state
        State of the run.
    """
    with atomic_write(path) as new:
        torch.save(state, new)


def restore_state(
    path: Path, current: Callable[[], State], restore: Callable[[State], None]
) -> State | None:
    """Restore a run from its checkpoint, if there is a usable one.

    A checkpoint that is damaged, belongs to another user or was written by another kind of run is
    not restored: the file is renamed to end in `.broken`, and a printed line gives the reason.

    Parameters
    ----------
    path
        The checkpoint that `save_state` wrote.
    current
        Function that returns the present state of the run. A usable checkpoint has entries of equal
        names and types, and in them tensors of equal names and shapes.
    restore
        Function that sets the run to a state; it is called with the present state again if the
        checkpoint turns out to be unusable.

    Returns
    -------
    :
        The restored state; None if there was none, so that the run starts from the beginning.
    """
    if not path.is_file():
        return None
    try:
        _require_own(path)
        state: State = tensors.unpickled(path)
    except DataError as error:
        _set_aside(path, error)
        return None
    before = deepcopy(current())
    try:
        _require_like(path, state, before)
        restore(state)
    except _MISMATCH as error:
        restore(before)
        _set_aside(path, error)
        return None
    return state


def _require_own(path: Path) -> None:
    """Refuse a file of another user, of another format, or with a wrong checksum."""
    if path.stat().st_uid != os.getuid():
        raise DataError(f"{path}: belongs to another user")
    if filetypes.detect_format(path) != filetypes.ZIP:
        raise DataError(f"{path}: is no checkpoint")
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # `zipfile` raises many types for damaged bytes
        raise DataError(f"{path}: is cut short or damaged") from error
    if damaged:
        raise DataError(f"{path}: is damaged")


def _require_like(path: Path, state: Any, expected: State) -> None:  # noqa: ANN401
    """Refuse a state whose entries, or names or shapes of tensors, differ from the expected."""
    if not isinstance(state, Mapping) or state.keys() != expected.keys():
        raise DataError(f"{path}: is of another kind of run")
    for name, entry in expected.items():
        if not isinstance(state[name], type(entry)):
            raise DataError(f"{path}: its {name} is of another kind")
        if isinstance(entry, Mapping) and _shapes(entry) != _shapes(state[name]):
            raise DataError(f"{path}: its {name} is of another network")


def _shapes(entry: State) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in an entry, by name."""
    return {name: tuple(t.shape) for name, t in entry.items() if hasattr(t, "shape")}


def _set_aside(path: Path, error: BaseException) -> None:
    """Rename an unusable checkpoint and print the reason."""
    aside = path.with_name(f"{path.name}.broken")
    outcome = f"it is set aside as {aside.name}"
    try:
        path.replace(aside)
    except OSError:  # another user's folder, where this run writes nothing either
        outcome = "it stays where it is"
    reason = str(error).removeprefix(f"{path}: ").split("; ", maxsplit=1)[0] or type(error).__name__
    tqdm.write(f"{path}: this checkpoint {reason}, so the run begins anew; {outcome}")
