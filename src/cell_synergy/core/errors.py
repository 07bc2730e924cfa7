"""Errors that a user can correct, and how a command reports them."""

import errno
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

_INTERRUPTED = 130  # the convention of shells: 128 plus the number of SIGINT
_CLOSED_PIPE = 141
_USAGE = 2
_NO_SPACE = "the disk is full: free some space there"
_REMEDIES = {
    errno.ENOENT: "no such file or folder: check the path",
    errno.EACCES: "no right to read or write there: change the rights, or choose another path",
    errno.EPERM: "not allowed there: change the rights, or choose another path",
    errno.EROFS: "this disk is read-only: choose another path",
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: "the quota of this disk is used up: free some space there",
    errno.EFBIG: "larger than a file may be there: choose a path on another disk",
    errno.EISDIR: "this is a folder, and a file is needed: name the file",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another path",
    errno.EEXIST: "this exists already, and is no folder: choose another path",
    errno.ENAMETOOLONG: "the name is too long for this disk: choose a shorter one",
    errno.ELOOP: "links that lead in a circle: name the file itself",
    errno.EMFILE: "too many files are open: raise the limit, `ulimit -n 4096`",
    errno.ENFILE: "too many files are open on this machine: close other programs",
    errno.EIO: "the disk cannot be read or written: check it, or copy the file to another one",
    errno.ESTALE: "the network folder is gone: mount it again",
    errno.EBUSY: "in use by another program: close that, or choose another path",
    errno.ENOMEM: "not enough memory: close other programs, or take a larger machine",
}
_ERRNO = re.compile(r"(?:errno = |os error )(\d+)")  # in the texts of HDF5 and safetensors


class InputError(ValueError):
    """Input that cannot be used; the message names the input and the remedy."""


class ConfigError(InputError):
    """A parameter that is unknown, missing or of the wrong type; the message names it."""


class DataError(InputError):
    """Data that cannot be used; the message names file, column or value and the remedy."""


@contextmanager
def report_errors(
    help_text: str | None = None, *, resumes: bool = False, bare: bool = True
) -> Iterator[None]:
    """End the program with one sentence instead of a traceback for errors that a user can correct.

    These are errors of input, disk and memory, and interrupts. Any other exception is a mistake in
    the program and keeps its traceback.

    Parameters
    ----------
    help_text
        Help, printed for `-h` and `--help` instead of running the command; None for a command
        without help.
    resumes
        Whether a repeated command resumes the work done before an interrupt; the message of an
        interrupt depends on it.
    bare
        Whether the command can run without arguments; if not, a call without arguments prints the
        help and ends with exit status 2.
    """
    _open_streams()
    if help_text is not None and print_requested_help(sys.argv[1:], help_text, bare=bare):
        sys.exit()
    try:
        yield
        sys.stdout.flush()
    except InputError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python's last flush would fail again
        sys.exit(_CLOSED_PIPE)
    except OSError as error:
        sys.exit(f"error: {describe_os_error(error)}")
    except MemoryError as error:
        detail = f" ({error})" if str(error) else ""
        sys.exit(f"error: {_REMEDIES[errno.ENOMEM]}{detail}")
    except KeyboardInterrupt:
        outcome = "nothing is left half-written, and the same command starts again"
        if resumes:
            outcome = "what is done is kept, and the same command goes on from there"
        sys.stderr.write(f"interrupted: {outcome}\n")
        sys.exit(_INTERRUPTED)


def print_requested_help(words: Sequence[str], text: str, *, bare: bool) -> bool:
    """Print the help for `-h` and `--help`; return whether it was printed.

    If `words` is empty and `bare` is false, the help goes to stderr and the program ends with exit
    status 2.

    Parameters
    ----------
    words
        Arguments of the command, without its name.
    text
        The help.
    bare
        Whether the command can run without arguments.
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
    """Discard output if the caller of the command has closed stdout or stderr (`>&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def positional_arguments(main: Callable[..., object], words: Sequence[str]) -> Sequence[str]:
    """Return the positional arguments of a script, unchanged; refuse more than its function takes.

    Parameters
    ----------
    main
        Function that receives the arguments; its parameters are named in the error.
    words
        Arguments of the command, without the script's name.

    Raises
    ------
    ConfigError
        If there are more arguments than parameters.
    """
    parameters = inspect.signature(main).parameters.values()
    maximum = len(parameters)
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(words) > maximum and not variadic:
        names = " ".join(f"[{p.name.upper()}]" for p in parameters)
        raise ConfigError(f"{words[maximum]!r}: one argument too many; give {names}, see --help")
    return words


def errno_in_text(error: Exception) -> int | None:
    """Return the system's error number (errno) in the text of an error; None if there is none.

    HDF5 and safetensors report errors of the disk in this way.
    """
    match = _ERRNO.search(str(error))
    return int(match[1]) if match else None


def describe_os_error(error: OSError) -> str:
    """Return one sentence on an error of the operating system: path, remedy and reason.

    The message of a `FileNotFoundError` that this package raises itself is returned as it is.
    """
    number = error.errno or errno_in_text(error)
    reason = " ".join(str(error.strerror or error).split())
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    remedy = _REMEDIES.get(number or 0)
    if isinstance(error, FileNotFoundError) and not number:
        return reason  # raised by this package, with its remedy
    if not remedy:
        return f"{where}{reason}; check this file and its disk"
    return f"{where}{remedy} ({reason})"
