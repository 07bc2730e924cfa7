"""Checkpoints of one's own: whole and one's own, or set aside with a line and begun anew."""

import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from tqdm import tqdm

from cell_synergy.core import filetypes, tensors
from cell_synergy.core.errors import DataError

Content = Mapping[str, Any]
_UNFIT = (
    AttributeError, DataError, IndexError, KeyError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


def resume(
    path: Path, current: Callable[[], Content], restore: Callable[[Content], None]
) -> Content | None:
    """Restore what a checkpoint holds, if there is one that can be taken up.

    A checkpoint that is damaged, somebody else's or of another run changes nothing: it is set
    aside, and a line says so.

    Parameters
    ----------
    path
        What `torch.save` wrote of such a content.
    current
        Returns what would be saved now.
    restore
        Takes a content up.

    Returns
    -------
    The content that was restored, None where work begins anew.
    """
    if not path.is_file():
        return None
    try:
        _require_own(path)
        found = tensors.unpickled(path)
    except DataError as error:
        _set_aside(path, error)
        return None
    before = deepcopy(current())
    try:
        _require_like(path, found, before)
        restore(found)
    except _UNFIT as error:
        restore(before)
        _set_aside(path, error)
        return None
    kept: Content = found
    return kept


def _require_own(path: Path) -> None:
    """Refuse a file that another user put there, and one whose bytes have changed."""
    if path.stat().st_uid != os.getuid():
        raise DataError(f"{path}: belongs to another user")
    if filetypes.kind(path) != filetypes.ZIP:
        raise DataError(f"{path}: is no checkpoint")
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # whatever `zipfile` makes of damaged bytes
        raise DataError(f"{path}: is cut short or damaged") from error
    if damaged:
        raise DataError(f"{path}: is damaged")


def _require_like(path: Path, found: Any, expected: Content) -> None:  # noqa: ANN401
    """Refuse a content with other parts, or tensors of other names and shapes by name."""
    if not isinstance(found, Mapping) or found.keys() != expected.keys():
        raise DataError(f"{path}: is of another kind of run")
    for name, part in expected.items():
        if not isinstance(found[name], type(part)):
            raise DataError(f"{path}: its {name} is of another kind")
        if isinstance(part, Mapping) and _shapes(part) != _shapes(found[name]):
            raise DataError(f"{path}: its {name} is of another network")


def _shapes(part: Content) -> dict[str, tuple[int, ...]]:
    return {name: tuple(t.shape) for name, t in part.items() if hasattr(t, "shape")}


def _set_aside(path: Path, error: BaseException) -> None:
    aside = path.with_name(f"{path.name}.broken")
    kept = f"it is set aside as {aside.name}"
    try:
        path.replace(aside)
    except OSError:  # another user's folder: nothing will be written there either
        kept = "it stays where it is"
    reason = str(error).removeprefix(f"{path}: ").split("; ", maxsplit=1)[0] or type(error).__name__
    tqdm.write(f"{path}: this checkpoint {reason}, so the run begins anew; {kept}")
