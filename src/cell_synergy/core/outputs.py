"""Outputs whose place a person names: nothing of anybody else's is ever replaced there.

Beside what a command writes stands a hidden record with its name and the SHA-256 of every file.
The same command may replace what agrees with its record; all else stays and is told before
anything is read or computed. A stage of the pipeline owns its outputs and needs none of this.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cell_synergy.core.errors import ConfigError
from cell_synergy.core.files import atomic, named_after, scratch_of

_FOLDER = "folder"  # stands for the hash of a folder
_PROBE = bytes(4096)  # what is written to see that something can be

Hashes = dict[str, list[str]]
"""Per file, relative to the folder of the output, the SHA-256 that it may have."""


@dataclass(frozen=True)
class Place:
    """Where a command writes.

    Attributes
    ----------
    word
        The word of the command line that names it.
    path
        A folder, or the main one of some files.
    beside
        What replaces the path's suffix (`.npz`), or goes before it (`-scores`), in the names of the
        files that stand beside it.
    """

    word: str
    path: Path
    beside: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """All that is written."""
        path = self.path
        return [
            path,
            *(
                path.with_suffix(end)
                if end.startswith(".")
                else path.with_name(f"{path.stem}{end}{path.suffix}")
                for end in self.beside
            ),
        ]

    @property
    def record(self) -> Path:
        """The file that says what was written."""
        return self.path.with_name(f".{self.path.name}.written.json")


def table_place(word: str, given: str | None, default: Path, beside: tuple[str, ...]) -> Place:
    """Return the place of a table; in a folder that is given it has its usual name."""
    if not given:
        return Place(word, default, beside)
    path = Path(os.path.expanduser(given))  # noqa: PTH111 - knows users that are not there
    if given.endswith(os.sep) or path.is_dir():
        path /= default.name
    if path.suffix.lower() != ".csv":
        raise ConfigError(
            f"{word}={given}: a table's name ends in .csv, and a folder's in /; write "
            f"{word}={given}.csv or {word}={given}/"
        )
    return Place(word, path, beside)


def folder_place(word: str, given: str | None, default: Path) -> Place:
    """Return the place of a folder of results."""
    path = Path(os.path.expanduser(given)) if given else default  # noqa: PTH111 - as above
    return Place(word, Path(os.path.realpath(path)) if path.name in {"", ".."} else path)


@contextmanager
def guarded(
    command: str, places: Sequence[Place], inputs: Mapping[str, Path]
) -> Iterator[dict[str, Path]]:
    """Yield, for each place, a path to write to; what is there becomes the output in the end.

    Parameters
    ----------
    command
        Who writes.
    places
        Where to.
    inputs
        What is read, by the words that name it.

    Raises
    ------
    ConfigError
        If something would be lost, before the block runs, or if it has appeared meanwhile.
    OSError
        If nothing can be written there, before the block runs.
    """
    _check_apart(places, inputs)
    for place in places:
        with named_after(place.path), named_after(place.record):
            _check_free(place, place.files, command)
    with ExitStack() as stack:
        new = {}
        for place in places:
            stack.enter_context(named_after(place.path, unnamed=False))
            with named_after(place.path), named_after(place.record):
                stack.enter_context(_parents(place.path))
                scratch = stack.enter_context(scratch_of(place.path))
                with scratch_of(place.record) as longest:  # of all names that are made there
                    (longest / "probe").write_bytes(_PROBE)
            new[place.word] = scratch / place.path.name
        yield new
        for place in places:
            with named_after(place.path):
                _publish(place, new[place.word].parent, command)


def _check_apart(places: Sequence[Place], inputs: Mapping[str, Path]) -> None:
    """Refuse outputs in each other, and those in or around an input."""
    written = [(place, path) for place in places for path in place.files]
    for place, path in written:
        for other, its in written:
            if other is not place and _inside(path, its):
                raise ConfigError(
                    f"{place.word}={place.path} lies in {other.word}={other.path}; give each "
                    "output a place of its own"
                )
        for word, read in inputs.items():
            if _same(path, read):
                raise ConfigError(
                    f"{place.word}={place.path} would replace {word}={read}, which is read; choose "
                    f"another {place.word}="
                )
            if _inside(path, read) or _inside(read, path):
                raise ConfigError(
                    f"{place.word}={place.path} and {word}={read}, which is read, lie in each "
                    f"other; choose another {place.word}="
                )


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are one file, also by links."""
    with suppress(OSError):
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)


def _inside(path: Path, folder: Path) -> bool:
    real = Path(os.path.realpath(path))  # which takes links in a circle as they are
    return real.is_relative_to(os.path.realpath(folder))


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    """Make the folders above `path`; those that stay empty go again."""
    made = [folder for folder in path.absolute().parents if not os.path.lexists(folder)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def _publish(place: Place, scratch: Path, command: str) -> None:
    """Move what was written to its place, the main output last.

    While files move, the record has the hashes of old and new ones: whatever a kill leaves is
    still the command's.
    """
    folder = place.path.parent
    made = sorted(scratch.iterdir(), key=lambda path: (path.name == place.path.name, path.name))
    targets = [folder / path.name for path in made]
    _check_free(place, [*place.files, *targets], command)
    new = {name: [sha] for path in made for name, sha in _hashes(path, path.name)}
    _, old = _recorded(place)
    _write_record(place, command, {n: old.get(n, []) + new.get(n, []) for n in {*old, *new}})
    for path, target in zip(made, targets, strict=True):
        _check_free(place, [target], command)
        if target.is_dir():
            _move_aside(place, target, scratch / f"{target.name}.old", command)
        path.replace(target)
    _write_record(place, command, new)


def _move_aside(place: Place, target: Path, aside: Path, command: str) -> None:
    """Move a folder out of the way; back again if something came in while it was checked."""
    target.rename(aside)
    try:
        _check_free(place, [target], command, found_at=aside)
    except ConfigError:
        aside.rename(target)
        raise


def _check_free(
    place: Place, paths: Sequence[Path], command: str, found_at: Path | None = None
) -> None:
    """Refuse paths where something stands that `command` has not written as it is now.

    What is checked is `found_at` where the one path was moved there.
    """
    writer, known = _recorded(place)
    for path in paths:
        found = _foreign(found_at or path, path.name, known if writer == command else {})
        if found is None:
            continue
        by = f"was written by {writer}" if writer not in {None, command} else found
        raise ConfigError(
            f"{place.word}={place.path}: {path} {by}; nothing was touched: move it away, or choose "
            f"another {place.word}="
        )


def _foreign(path: Path, called: str, known: Hashes) -> str | None:
    """Say what would be lost if `path`, `called` so, were replaced; None if it is nothing."""
    if path.is_symlink():
        return "is a link to another place"
    if not path.exists() or _is_empty(path):
        return None
    if called not in known:
        return "is there already, and this command did not write it"
    strange = [name for name, sha in _hashes(path, called) if sha not in known.get(name, [])]
    if strange == [called]:
        return "was changed since this command wrote it"
    if strange:
        return f"holds {strange[0]}, which was added or changed since this command wrote it"
    return None


def _is_empty(path: Path) -> bool:
    """Whether this is a folder that can be replaced without a loss."""
    return path.is_dir() and not path.is_mount() and not any(path.iterdir())


def _hashes(path: Path, called: str) -> Iterator[tuple[str, str]]:
    """Yield name and SHA-256 of a file, or of a folder and all in it; links have none."""
    if path.is_symlink() or not (path.is_dir() or path.is_file()):
        yield called, "neither file nor folder"
    elif path.is_dir():
        yield called, _FOLDER
        for inner in sorted(path.iterdir()):
            yield from _hashes(inner, f"{called}/{inner.name}")
    else:
        with path.open("rb") as file:
            yield called, hashlib.file_digest(file, "sha256").hexdigest()


def _recorded(place: Place) -> tuple[str | None, Hashes]:
    """Return who wrote a place, and the hashes; nobody and none without a record that can be read.

    A record that is somebody's link or was changed by hand proves nothing.
    """
    if place.record.is_symlink() or not place.record.is_file():
        return None, {}
    try:
        found = json.loads(place.record.read_text("utf-8"))
        files = {str(name): [str(sha) for sha in shas] for name, shas in found["files"].items()}
        return str(found["command"]), files
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, {}


def _write_record(place: Place, command: str, files: Hashes) -> None:
    with atomic(place.record) as new:
        new.write_text(json.dumps({"command": command, "files": files}, indent=1, sort_keys=True))
