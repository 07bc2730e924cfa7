"""Run the stages of a plan on this machine, several at a time, each in a process of its own."""

import os
import signal
import time
from contextlib import suppress
from multiprocessing import forkserver, get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from dvc.exceptions import DvcException

from runner.console import INTERRUPTED, echo, format_duration, tail
from runner.hook import preload_names
from runner.plan import Plan, base_name, make_plan
from runner.stage import reproduce

_LOGS = Path(".dvc", "tmp", "logs")  # DVC keeps .dvc/tmp out of git
_DURATIONS = _LOGS / "seconds.tsv"
_POLL = 0.2  # seconds between checks for a signal
# Seconds after an interrupt, and the signal sent to each process group at that time: after the
# first a training epoch ends, after the second a command cleans up, the last cannot be ignored.
_ESCALATION = [
    (0.0, signal.SIGINT), (4.0, signal.SIGINT), (6.0, signal.SIGTERM), (9.0, signal.SIGKILL),
]  # fmt: skip
_WARM = 4  # stages from which on it saves time to import once what their commands share
_TIMEOUT = 11.0  # seconds after which processes that still run are left behind
_server_is_warm = False
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Executor:
    """Runs the steps of a plan, each in a process group of its own.

    Parameters
    ----------
    plan
        The stages to run, and the order in which they start.
    jobs
        Maximal number of stages that run at the same time.

    Attributes
    ----------
    outdated
        Whether files that the plan depends on have changed, so that no further stage was started.
    """

    def __init__(self, plan: Plan, jobs: int) -> None:
        self.plan = plan
        self.jobs = jobs
        self.outdated = False
        self._waiting = list(plan.steps)
        self._durations = _read_durations(plan.root)  # seconds, by the stages' names in dvc.yaml
        self._running: dict[str, tuple[ForkServerProcess, float]] = {}
        self._done: dict[str, float] = {}  # seconds
        self._failed: list[str] = []
        self._interrupted = False
        self._started = time.monotonic()
        self._context = get_context("forkserver")  # DVC starts threads here, unsafe to fork

    def run(self) -> int:
        """Run all steps except those that wait for a failed step.

        Returns
        -------
        :
            Exit code: 0, or 1 after a failure, or 130 after a signal (SIGINT, SIGTERM, SIGHUP). It
            is also 0 if steps were not started because the plan was `outdated`.
        """
        before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
        try:
            (self.plan.root / _LOGS).mkdir(parents=True, exist_ok=True)
            _start_server(warm=len(self.plan.steps) >= _WARM and bool(preload_names()))
            for number in _SIGNALS:
                signal.signal(number, self._interrupt)
            while not self._interrupted:
                self._start_ready()
                if not self._running:
                    break
                self._reap()
        finally:
            self._terminate()
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._interrupted:
            echo("stopped: the same command continues")
            return INTERRUPTED
        return self._summarise()

    def _interrupt(self, *_: object) -> None:
        """Handle a signal: the loop in `run` ends."""
        self._interrupted = True

    def _start_ready(self) -> None:
        """Start stages whose producers are done, up to the number of jobs."""
        for step in list(self._waiting):
            if len(self._running) < self.jobs and self._done.keys() >= set(step.after):
                self.outdated = self.outdated or bool(self.plan.watch and self.plan.watch.changed())
                if self.outdated:
                    return
                self._waiting.remove(step)
                log = self.plan.root / _log_path(step.name)
                log.write_text("")
                process = self._context.Process(
                    target=reproduce, args=(self.plan.root, step.name, self.plan.order, log)
                )
                process.start()
                self._running[step.name] = process, time.monotonic()
                self._echo_progress("start", step.name)

    def _reap(self) -> None:
        """Wait up to a poll interval and collect the stages that ended."""
        wait([process.sentinel for process, _ in self._running.values()], _POLL)
        for name, (process, started) in list(self._running.items()):
            if process.exitcode is None:
                continue
            del self._running[name]
            if process.exitcode == 0:
                self._done[name] = time.monotonic() - started
                self._durations.setdefault(base_name(name), []).append(self._done[name])
                with (self.plan.root / _DURATIONS).open("a", encoding="utf-8") as file:
                    file.write(f"{name}\t{self._done[name]:.1f}\n")
                self._echo_progress("done", name)
            elif not self._interrupted:
                self._failed.append(name)
                self._echo_progress("FAILED", name)
                log = _log_path(name)
                echo(f"{name}: exit code {process.exitcode}; the end of {log}:")
                echo(tail(self.plan.root / log))

    def _echo_progress(self, event: str, name: str) -> None:
        """Print a line with counts and times."""
        remaining = self._remaining_seconds()
        echo(
            f"{event:6} {name}  [{len(self._done)}/{len(self.plan.steps)} done, "
            f"{len(self._running)} running, {format_duration(time.monotonic() - self._started)}"
            f"{'' if remaining is None else f', about {format_duration(remaining)} left'}]"
        )

    def _remaining_seconds(self) -> float | None:
        """Estimate the seconds to the end from earlier durations; None if a stage has none."""
        waiting = [base_name(step.name) for step in self._waiting]
        now = time.monotonic()
        running = [(base_name(name), now - started) for name, (_, started) in self._running.items()]
        if not self._durations.keys() >= {*waiting, *(name for name, _ in running)}:
            return None
        mean = {name: sum(times) / len(times) for name, times in self._durations.items()}
        rest = sum(max(mean[name] - elapsed, 0.0) for name, elapsed in running)
        return (rest + sum(mean[name] for name in waiting)) / self.jobs

    def _terminate(self) -> None:
        """Terminate the running stages, with all processes of their groups, whatever fails."""
        alive = [process for process, _ in self._running.values()]
        if alive:
            with suppress(OSError):  # the terminal may be what failed
                echo(f"stopping {', '.join(self._running)}")
        began = time.monotonic()
        pending = list(_ESCALATION)
        while alive and time.monotonic() - began < _TIMEOUT:
            number = 0  # signal 0 only checks whether a process is left
            if pending and time.monotonic() - began >= pending[0][0]:
                number = pending.pop(0)[1]
            alive = [process for process in alive if _send_signal(process, number)]
            if self._running:
                with suppress(OSError):  # a full disk, or a closed terminal
                    self._reap()
            else:
                time.sleep(_POLL)

    def _summarise(self) -> int:
        """Print how many stages ran, failed and were skipped; return the exit code."""
        stages = "stage" if len(self._done) == 1 else "stages"
        duration = format_duration(time.monotonic() - self._started)
        echo(f"{len(self._done)} {stages} done in {duration}")
        if self._failed:
            echo(f"failed: {', '.join(self._failed)}")
            if self._waiting:
                skipped = ", ".join(step.name for step in self._waiting)
                echo(f"skipped, as they wait for these: {skipped}")
            echo("the same command runs what is missing")
        return 1 if self._failed else 0


def plan_after_first(targets: list[str], jobs: int) -> Plan:
    """Run the stages with `meta: {first: true}` that are out of date; plan the remaining stages.

    Parameters
    ----------
    targets
        Stages to plan, with all that they depend on; an empty list means all stages.
    jobs
        Maximal number of stages that run at the same time.

    Returns
    -------
    :
        Plan of all other stages that are out of date; its `steps` are empty if there are none.

    Raises
    ------
    dvc.exceptions.DvcException
        If `make_plan` raises it, or a stage with `meta: {first: true}` or a producer of it fails.
    KeyboardInterrupt
        If a signal ends the run of these stages.
    """
    plan = make_plan(targets)
    if not plan.preliminary:
        return plan
    code = Executor(plan, jobs).run()
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise DvcException("nothing else can be planned until that is done")
    return make_plan(targets, first=False)


def _start_server(*, warm: bool) -> None:
    """Start the process that stages are forked from; it ignores signals, as its caller does.

    It imports DVC, and, if it is warm, what the repository has imported once. As that code may be
    edited later, a warm server is never used again; one that imported DVC alone is.
    """
    global _server_is_warm  # noqa: PLW0603 - as multiprocessing has one server
    if warm or _server_is_warm:
        forkserver._forkserver._stop()  # type: ignore[attr-defined]  # noqa: SLF001
    _server_is_warm = warm
    forkserver.set_forkserver_preload(["runner.preload"] if warm else ["runner.stage"])
    forkserver.ensure_running()


def _send_signal(process: ForkServerProcess, number: int) -> bool:
    """Send a signal to a process and its group; return whether any process received it."""
    pid = process.pid or 0
    with suppress(ProcessLookupError):
        os.killpg(pid, number)
        return True
    with suppress(ProcessLookupError):
        if process.exitcode is None:  # it has not yet called setsid
            os.kill(pid, number)
            return True
    return False


def _read_durations(root: Path) -> dict[str, list[float]]:
    """Return the last durations, in seconds, of the instances of each stage of dvc.yaml."""
    last: dict[str, float] = {}
    if (file := root / _DURATIONS).is_file():
        for line in file.read_text("utf-8", "replace").splitlines():
            name, _, seconds = line.partition("\t")
            with suppress(ValueError):  # a line that was cut off when the process was killed
                last[name] = float(seconds)
    durations: dict[str, list[float]] = {}
    for name, duration in last.items():
        durations.setdefault(base_name(name), []).append(duration)
    return durations


def _log_path(name: str) -> Path:
    """Return the path of a stage's log, relative to the repository."""
    return _LOGS / f"{name.replace('/', '_')}.log"
