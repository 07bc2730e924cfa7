"""Outputs at paths given by a user: a command replaces only files that it wrote itself.

Next to its outputs a command writes a hidden record with its name and the SHA-256 of every file.
It may replace files that agree with its record; for any other file at an output's path it refuses
to run before anything is read or computed. Outputs of pipeline stages need no record.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cell_synergy.core.errors import ConfigError
from cell_synergy.core.files import atomic_write, named_after, scratch_of

_FOLDER = "folder"  # in place of the hash of a folder
_PROBE = bytes(4096)  # written to test whether the folder is writable

_Hashes = dict[str, list[str]]
"""Accepted SHA-256 of each file, by its path relative to the folder of the output."""


@dataclass(frozen=True)
class OutputPath:
    """The path of one output of a command, and of the files beside it.

    Attributes
    ----------
    word
        Key of the command line that sets the path.
    path
        Output folder or main output file.
    beside
        Name endings of further files: a suffix (`.safetensors`), or text before it (`-scores`).
    """

    word: str
    path: Path
    beside: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """Paths of the main and all further files."""
        files = [self.path]
        for end in self.beside:
            if end.startswith("."):
                files.append(self.path.with_suffix(end))
            else:
                files.append(self.path.with_name(f"{self.path.stem}{end}{self.path.suffix}"))
        return files

    @property
    def record(self) -> Path:
        """Path of the record: name of the command, and hashes of the files it wrote."""
        return self.path.with_name(f".{self.path.name}.written.json")


def table_output(
    word: str, given: str | None, default: Path, beside: tuple[str, ...]
) -> OutputPath:
    """Return the path of a CSV table; inside a given folder, the table has the default's file name.

    Parameters
    ----------
    word
        Key of the command line that sets the path.
    given
        Its value, a file or a folder; None or empty for the default.
    default
        Path of the table without a value.
    beside
        Name endings of further files, as in `OutputPath`.

    Raises
    ------
    ConfigError
        If the given name does not end in `.csv`.
    """
    if not given:
        return OutputPath(word, default, beside)
    path = Path(os.path.expanduser(given))  # noqa: PTH111 - keeps `~` of unknown users
    if given.endswith(os.sep) or path.is_dir():
        path /= default.name
    if path.suffix.lower() != ".csv":
        raise ConfigError(
            f"{word}={given}: a table's name ends in .csv, and a folder's in /; write "
            f"{word}={given}.csv or {word}={given}/"
        )
    return OutputPath(word, path, beside)


def folder_output(word: str, given: str | None, default: Path) -> OutputPath:
    """Return the path of a folder of results.

    Parameters
    ----------
    word, given, default
        Key of the command line that sets the path, its value, and the path if that value is empty.
    """
    path = Path(os.path.expanduser(given)) if given else default  # noqa: PTH111 - as above
    return OutputPath(word, Path(os.path.realpath(path)) if path.name in {"", ".."} else path)


@contextmanager
def guarded_outputs(
    command: str, outputs: Sequence[OutputPath], inputs: Mapping[str, Path]
) -> Iterator[dict[str, Path]]:
    """Yield temporary paths of the outputs by key; they replace the outputs if the block succeeds.

    Parameters
    ----------
    command
        Name of the command.
    outputs
        Outputs of the command; the keys of the yielded paths are their `word`.
    inputs
        Paths that are read, by their keys of the command line.

    Raises
    ------
    ConfigError
        If outputs and inputs overlap, or a file of other origin would be lost: before the block
        runs, or after it for new files.
    OSError
        If the folder cannot be written, before the block runs.
    """
    _check_apart(outputs, inputs)
    for output in outputs:
        with named_after(output.path), named_after(output.record):
            _check_free(output, output.files, command)
    with ExitStack() as stack:
        new = {}
        for output in outputs:
            stack.enter_context(named_after(output.path, unnamed=False))
            with named_after(output.path), named_after(output.record):
                stack.enter_context(_parents(output.path))
                scratch = stack.enter_context(scratch_of(output.path))
                with scratch_of(output.record) as longest:  # the longest name
                    (longest / "probe").write_bytes(_PROBE)
            new[output.word] = scratch / output.path.name
        yield new
        for output in outputs:
            with named_after(output.path):
                _publish(output, new[output.word].parent, command)


def _check_apart(outputs: Sequence[OutputPath], inputs: Mapping[str, Path]) -> None:
    """Refuse outputs inside each other, and outputs that are, contain or lie in an input."""
    written = [(output, path) for output in outputs for path in output.files]
    for output, path in written:
        for other, other_path in written:
            if other is not output and _inside(path, other_path):
                raise ConfigError(
                    f"{output.word}={output.path} lies in {other.word}={other.path}; give each "
                    "output another path"
                )
        for word, read in inputs.items():
            if _same(path, read):
                raise ConfigError(
                    f"{output.word}={output.path} would replace {word}={read}, which is read; "
                    f"choose another {output.word}="
                )
            if _inside(path, read) or _inside(read, path):
                raise ConfigError(
                    f"{output.word}={output.path} and {word}={read}, which is read, lie in each "
                    f"other; choose another {output.word}="
                )


def _same(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one file, also through links."""
    with suppress(OSError):
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)


def _inside(path: Path, folder: Path) -> bool:
    """Return whether a path lies in a folder, or is that folder, also through links."""
    real = Path(os.path.realpath(path))  # `resolve` would fail for circular links
    return real.is_relative_to(os.path.realpath(folder))


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    """Create the missing folders above `path`; remove them at the end if they are empty."""
    created = [folder for folder in path.absolute().parents if not os.path.lexists(folder)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for folder in created:
            with suppress(OSError):
                folder.rmdir()


def _publish(output: OutputPath, scratch: Path, command: str) -> None:
    """Move the new files to the output, the main one last.

    Meanwhile the record has the hashes of old and new files, so that the command may replace
    whatever a kill leaves.
    """
    folder = output.path.parent
    new_files = sorted(
        scratch.iterdir(), key=lambda path: (path.name == output.path.name, path.name)
    )
    targets = [folder / path.name for path in new_files]
    _check_free(output, [*output.files, *targets], command)
    new = {name: [sha] for path in new_files for name, sha in _hashes(path, path.name)}
    _, old = _recorded(output)
    _write_record(output, command, {n: old.get(n, []) + new.get(n, []) for n in {*old, *new}})
    for path, target in zip(new_files, targets, strict=True):
        _check_free(output, [target], command)
        if target.is_dir():
            _move_aside(output, target, scratch / f"{target.name}.old", command)
        path.replace(target)
    _write_record(output, command, new)


def _move_aside(output: OutputPath, target: Path, aside: Path, command: str) -> None:
    """Rename a folder; rename it back if a file was added while it was checked."""
    target.rename(aside)
    try:
        _check_free(output, [target], command, found_at=aside)
    except ConfigError:
        aside.rename(target)
        raise


def _check_free(
    output: OutputPath, paths: Sequence[Path], command: str, found_at: Path | None = None
) -> None:
    """Refuse paths with a file that `command` did not write, or that was changed since.

    `found_at` is the place of a single path that was moved aside.
    """
    writer, recorded = _recorded(output)
    for path in paths:
        problem = _foreign(found_at or path, path.name, recorded if writer == command else {})
        if problem is None:
            continue
        if writer not in {None, command}:
            problem = f"was written by {writer}"
        raise ConfigError(
            f"{output.word}={output.path}: {path} {problem}; nothing was touched: move it away, "
            f"or choose another {output.word}="
        )


def _foreign(path: Path, name: str, recorded: _Hashes) -> str | None:
    """Return why `path`, called `name` in the record, must not be replaced; None if it may be."""
    if path.is_symlink():
        return "is a link to another path"
    if not path.exists() or _is_empty(path):
        return None
    if name not in recorded:
        return "is there already, and this command did not write it"
    other = [file for file, sha in _hashes(path, name) if sha not in recorded.get(file, [])]
    if other == [name]:
        return "was changed since this command wrote it"
    if other:
        return f"holds {other[0]}, which was added or changed since this command wrote it"
    return None


def _is_empty(path: Path) -> bool:
    """Return whether a path is an empty folder and no mount point."""
    return path.is_dir() and not path.is_mount() and not any(path.iterdir())


def _hashes(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield name and SHA-256 of a file, or of a folder's contents; links and others have none."""
    if path.is_symlink() or not (path.is_dir() or path.is_file()):
        yield name, "neither file nor folder"
    elif path.is_dir():
        yield name, _FOLDER
        for inner in sorted(path.iterdir()):
            yield from _hashes(inner, f"{name}/{inner.name}")
    else:
        with path.open("rb") as file:
            yield name, hashlib.file_digest(file, "sha256").hexdigest()


def _recorded(output: OutputPath) -> tuple[str | None, _Hashes]:
    """Return command and hashes of an output's record; None and {} if it is missing or invalid."""
    if output.record.is_symlink() or not output.record.is_file():
        return None, {}
    try:
        record = json.loads(output.record.read_text("utf-8"))
        files = {str(name): [str(sha) for sha in shas] for name, shas in record["files"].items()}
        return str(record["command"]), files
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, {}


def _write_record(output: OutputPath, command: str, files: _Hashes) -> None:
    with atomic_write(output.record) as new:
        new.write_text(json.dumps({"command": command, "files": files}, indent=1, sort_keys=True))
