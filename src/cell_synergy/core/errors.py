"""Errors that a user can mend, and how a command reports them."""

import errno
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

INTERRUPTED = 130  # as a shell has it: 128 and the number of SIGINT
_CLOSED_PIPE = 141
_USAGE = 2
_NO_SPACE = "the disk is full: free some space there"
_REMEDIES = {
    errno.ENOENT: "no such file or folder: check the path",
    errno.EACCES: "no right to read or write there: change the rights, or choose another place",
    errno.EPERM: "not allowed there: change the rights, or choose another place",
    errno.EROFS: "the place is read-only: choose another one",
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: "the quota of this disk is used up: free some space there",
    errno.EFBIG: "larger than a file may be there: choose a place on another disk",
    errno.EISDIR: "this is a folder, a file is wanted: name the file",
    errno.ENOTDIR: "something on the way is a file, not a folder: choose another path",
    errno.EEXIST: "this is there already, and is no folder: choose another path",
    errno.ENAMETOOLONG: "the name is too long for this disk: choose a shorter one",
    errno.ELOOP: "links that lead in a circle: name the file itself",
    errno.EMFILE: "too many files are open: raise the limit, `ulimit -n 4096`",
    errno.ENFILE: "too many files are open on this machine: close other programs",
    errno.EIO: "the disk cannot be read or written: check it, or copy the file to another one",
    errno.ESTALE: "the network folder is gone: mount it again",
    errno.EBUSY: "in use by another program: close that, or choose another place",
    errno.ENOMEM: "not enough memory: close other programs, or take a larger machine",
}
_INNER = re.compile(r"(?:errno = |os error )(\d+)")  # as HDF5 and safetensors have it in their text


class InputError(ValueError):
    """What was given cannot be used; the message says what and names the remedy."""


class ConfigError(InputError):
    """A parameter that is unknown, missing or of the wrong kind; the message names it."""


class DataError(InputError):
    """Data that cannot be used; the message names file, column or value and the remedy."""


@contextmanager
def reported(
    help_text: str | None = None, *, resumes: bool = False, bare: bool = True
) -> Iterator[None]:
    """End the program with one sentence, not a traceback, where the user can mend the error.

    That is what the user gave, the disk, the memory, and an interrupt. Any other error is a
    mistake in the program and keeps its traceback.

    Parameters
    ----------
    help_text
        Printed in place of running for `-h` and `--help`.
    resumes
        Whether what was done before an interrupt is kept and the same command goes on there.
    bare
        Whether the command can do without words; if not, it prints its help and ends with 2.
    """
    _open_streams()
    if help_text is not None and answered_help(sys.argv[1:], help_text, bare=bare):
        sys.exit()
    try:
        yield
        sys.stdout.flush()
    except InputError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python's last flush would fail once more
        sys.exit(_CLOSED_PIPE)
    except OSError as error:
        sys.exit(f"error: {explained(error)}")
    except MemoryError as error:
        told = f" ({error})" if str(error) else ""
        sys.exit(f"error: {_REMEDIES[errno.ENOMEM]}{told}")
    except KeyboardInterrupt:
        goes_on = "what is done is kept, and the same command goes on from there"
        again = "nothing is left half-written, and the same command starts again"
        sys.stderr.write(f"interrupted: {goes_on if resumes else again}\n")
        sys.exit(INTERRUPTED)


def answered_help(words: Sequence[str], text: str, *, bare: bool) -> bool:
    """Print the help if it is asked for, and say whether it was.

    Where a command cannot do without words and has none, the program ends with its help.
    """
    _open_streams()
    text = f"{text.rstrip()}\n"
    if {"-h", "--help"} & set(words):
        sys.stdout.write(text)
        return True
    if not (words or bare):
        sys.stderr.write(text)
        sys.exit(_USAGE)
    return False


def _open_streams() -> None:
    """Give what is told a place to go where whoever started the command has closed it (`>&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def places(main: Callable[..., object], words: Sequence[str]) -> Sequence[str]:
    """Return the words of a script that takes them by their places; too many are refused."""
    kinds = inspect.signature(main).parameters.values()
    most = len(kinds)
    if len(words) > most and all(kind.kind is not kind.VAR_POSITIONAL for kind in kinds):
        names = " ".join(f"[{kind.name.upper()}]" for kind in kinds)
        raise ConfigError(f"{words[most]!r}: one word too many; this takes {names}, see --help")
    return words


def number_in(error: Exception) -> int | None:
    """Return the system's number that a library has in its words alone."""
    inner = _INNER.search(str(error))
    return int(inner[1]) if inner else None


def explained(error: OSError) -> str:
    """Return what is wrong with the user's disk: the path, and the remedy."""
    number = error.errno or number_in(error)
    told = " ".join(str(error.strerror or error).split())
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    remedy = _REMEDIES.get(number or 0)
    if isinstance(error, FileNotFoundError) and not number:
        return told  # our own, with its remedy
    return f"{where}{remedy} ({told})" if remedy else f"{where}{told}; check this file and its disk"
