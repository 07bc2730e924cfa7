"""Outputs at a path that a person names: only what the same command wrote is ever replaced.

Next to its outputs a command writes a hidden record with its name and the SHA-256 of every file.
The same command may replace files that agree with the record. Any other file is kept, and the
command refuses to run before anything is read or computed. Stages of the pipeline own their outputs
and do not need this.
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
_PROBE = bytes(4096)  # written to see whether the folder can be written

_Hashes = dict[str, list[str]]
"""SHA-256 that each file may have, by its path relative to the folder of the output."""


@dataclass(frozen=True)
class OutputPath:
    """Where a command writes one output.

    Attributes
    ----------
    word
        Key of the command line that sets the path.
    path
        A folder, or the main file of several.
    beside
        Names of the other files: a new suffix of the path (`.npz`), or what is put before its
        suffix (`-scores`).
    """

    word: str
    path: Path
    beside: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """Every file that is written."""
        files = [self.path]
        for end in self.beside:
            if end.startswith("."):
                files.append(self.path.with_suffix(end))
            else:
                files.append(self.path.with_name(f"{self.path.stem}{end}{self.path.suffix}"))
        return files

    @property
    def record(self) -> Path:
        """File with the name of the command and the hashes of what it wrote."""
        return self.path.with_name(f".{self.path.name}.written.json")


def table_output(
    word: str, given: str | None, default: Path, beside: tuple[str, ...]
) -> OutputPath:
    """Return where a table is written; inside a given folder it has the name of the default."""
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
    """Return where a folder of results is written."""
    path = Path(os.path.expanduser(given)) if given else default  # noqa: PTH111 - as above
    return OutputPath(word, Path(os.path.realpath(path)) if path.name in {"", ".."} else path)


@contextmanager
def guarded_outputs(
    command: str, outputs: Sequence[OutputPath], inputs: Mapping[str, Path]
) -> Iterator[dict[str, Path]]:
    """Yield a path to write to for each output; the outputs are replaced when the block ends.

    Parameters
    ----------
    command
        Name of the command.
    outputs
        Its outputs.
    inputs
        Paths that are read, by their keys of the command line.

    Raises
    ------
    ConfigError
        If a file would be lost: before the block runs, or after it for a file that was added since.
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
                with scratch_of(output.record) as longest:  # the longest name of all
                    (longest / "probe").write_bytes(_PROBE)
            new[output.word] = scratch / output.path.name
        yield new
        for output in outputs:
            with named_after(output.path):
                _publish(output, new[output.word].parent, command)


def _check_apart(outputs: Sequence[OutputPath], inputs: Mapping[str, Path]) -> None:
    """Refuse outputs inside each other, and those inside or around an input."""
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
    """Whether two paths are the same file, also through links."""
    with suppress(OSError):
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)


def _inside(path: Path, folder: Path) -> bool:
    real = Path(os.path.realpath(path))  # accepts links in a circle
    return real.is_relative_to(os.path.realpath(folder))


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    """Create the folders above `path`; remove those that are still empty at the end."""
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

    While files are moved, the record has the hashes of old and new ones, so that whatever a kill
    leaves still belongs to the command.
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
    """Refuse paths with a file that `command` has not written as it is now.

    `found_at` is where the one path was moved, if it was.
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
    """Return what a replacement of `path`, `name` in the record, would lose."""
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
    """Whether this is a folder that can be replaced without a loss."""
    return path.is_dir() and not path.is_mount() and not any(path.iterdir())


def _hashes(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield name and SHA-256 of a file, or of a folder and all in it; links have none."""
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
    """Return the command that wrote an output and the hashes; None and {} without a valid record.

    A record that is a link or was edited is not valid.
    """
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
