"""Run the command of a stage in a fork of a process that has imported what it needs."""

import atexit
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

from dvc.stage import run as dvc_run
from dvc.stage.exceptions import StageCmdFailedError

from runner.warm import Preload

_PLAIN = re.compile(r"[\w@%+=:,./ -]+")  # a shell would pass these words on as they are


class Command:
    """A process that waits for one command of a stage, and runs it.

    It is forked before DVC starts threads in this process, and belongs to the same process group.

    Parameters
    ----------
    preload
        What this process has imported.
    """

    def __init__(self, preload: Preload) -> None:
        self._preload = preload
        reader, self._writer = os.pipe()
        self._pid: int | None = os.fork()
        if self._pid == 0:
            os.close(self._writer)
            _serve(reader, preload)
        os.close(reader)

    def install(self) -> None:
        """Make DVC run commands with `run` in this process."""
        in_shell = dvc_run._run  # noqa: SLF001 - DVC offers no other way

        def run(executable: str, cmd: str, **settings: Any) -> None:  # noqa: ANN401 - DVC's
            words = self._words(executable, cmd, settings)
            if words is None:
                in_shell(executable, cmd, **settings)
            elif code := self.run(words, settings["env"]):
                raise StageCmdFailedError(cmd, code)

        dvc_run._run = run  # noqa: SLF001

    def _words(self, executable: str, cmd: str, settings: dict[str, Any]) -> list[str] | None:
        """Return module and arguments of a command; None if it has to run in a shell."""
        if self._pid is None or Path(executable).name == "false" or not _PLAIN.fullmatch(cmd):
            return None
        words = shlex.split(cmd)
        python = shutil.which(words[0], path=settings["env"].get("PATH"))
        is_module = words[0] == "python" and words[1:2] == ["-m"] and len(words) > 2  # noqa: PLR2004
        package = words[2].rpartition(".")[0] if is_module else ""
        if (
            package not in self._preload.packages
            or not _is_this_python(python)
            or Path(settings["cwd"]).resolve() != self._preload.root.resolve()
            or not self._preload.is_current()
        ):
            return None
        return words[2:]

    def run(self, words: list[str], environment: dict[str, str]) -> int:
        """Run a module, once; return its exit code, or minus the signal that ended it.

        Parameters
        ----------
        words
            Name of the module, and its arguments.
        environment
            Environment variables of the command.
        """
        pid, self._pid = self._pid, None
        assert pid is not None  # noqa: S101
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as DVC does while a command runs
        try:
            try:
                with open(self._writer, "w", encoding="utf-8") as pipe:  # noqa: PTH123
                    json.dump([words, environment], pipe)
            except BrokenPipeError:
                pass  # a signal has ended the process, as its exit code shows
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        finally:
            signal.signal(signal.SIGINT, before)


def _is_this_python(found: str | None) -> bool:
    """Return whether a command's `python` is the interpreter of this process."""
    if found is None:
        return False
    this, other = Path(sys.executable), Path(found)
    return other.samefile(this) and other.parent.samefile(this.parent)


def _serve(reader: int, preload: Preload) -> NoReturn:
    """Wait for a command, run it, and end this process as Python would end."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        with open(reader, encoding="utf-8") as pipe:
            text = pipe.read()
        if not text:  # DVC needed no command, or is gone
            os._exit(0)
        words, environment = json.loads(text)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = _run_module(words, environment, preload)
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for threads
        atexit._run_exitfuncs()  # noqa: SLF001
    except BaseException:  # noqa: BLE001 - of the functions that run at exit
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 1
        os._exit(code)


def _run_module(words: list[str], environment: dict[str, str], preload: Preload) -> int:
    """Run `python -m` with a module and arguments in this process; return the exit code."""
    missing = {k: v for k, v in preload.variables.items() if k not in environment}
    os.environ.clear()
    os.environ.update(environment | missing)
    sys.path[:] = preload.path
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # DVC may have wrapped them
    sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    sys.argv = words
    sys.modules.pop(words[0], None)  # it is run under the name `__main__`
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - as Python does
        sys.excepthook(*sys.exc_info())
        return 1
    return 0
