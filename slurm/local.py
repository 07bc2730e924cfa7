"""Run the out-of-date part of the pipeline on this machine, several stages at a time.

    python -m slurm.local [TARGET ...] [--jobs N] [--dry]

A stage starts when all that it waits for are done; what has nothing to do with the data sets comes
last. `dvc.lock` ends with the bytes that a serial `dvc repro` gives it.
"""

import argparse
import os
import signal
import sys
import time
from contextlib import suppress
from multiprocessing import forkserver, get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo

from cell_synergy.core.errors import InputError
from slurm.console import clock, cores_here, explained, say, tail
from slurm.lockfile import sort
from slurm.plan import Plan, check_study, make_plan
from slurm.profiles import base
from slurm.stage import reproduce

LOGS = Path(".dvc", "tmp", "logs")  # DVC keeps .dvc/tmp out of git
TIMES = LOGS / "seconds.tsv"
POLL = 0.2  # seconds between two looks for a signal
# Seconds after a stop: what lets an epoch end, what lets a command clean up, what does not ask.
ESCALATION = [
    (0.0, signal.SIGINT), (4.0, signal.SIGINT), (6.0, signal.SIGTERM), (9.0, signal.SIGKILL),
]  # fmt: skip
GIVE_UP = 11.0
NOTHING = "nothing to do: all stages are up to date"
STOPPED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Executor:
    """Runs the steps of a plan, each in a process group of its own.

    Parameters
    ----------
    plan
        What to run.
    jobs
        How many stages run at the same time.
    """

    def __init__(self, plan: Plan, jobs: int) -> None:
        self.plan = plan
        self.jobs = jobs
        self.waiting = list(plan.steps)
        self.expected = former_times(plan.root)  # seconds of each kind of stage
        self.running: dict[str, tuple[ForkServerProcess, float]] = {}
        self.done: dict[str, float] = {}  # seconds
        self.failed: list[str] = []
        self.stopping = False
        self.began = time.monotonic()
        self.context = get_context("forkserver")  # DVC leaves threads here: no forks of this

    def run(self) -> int:
        """Run what can run; return the exit code: 0, 1 after a failure, 130 after a signal."""
        (self.plan.root / LOGS).mkdir(parents=True, exist_ok=True)
        before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
        self.context.set_forkserver_preload(["slurm.stage"])
        forkserver.ensure_running()  # ignores what is sent to the whole group, and imports DVC once
        for number in SIGNALS:
            signal.signal(number, self._stop)
        try:
            while not self.stopping:
                self._start_what_can()
                if not self.running:
                    break
                self._reap()
        finally:
            self._end_all()
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.stopping:
            say("stopped: the same command continues")
            return STOPPED
        return self._summary()

    def _stop(self, *_: object) -> None:
        """Note a signal; the loop sees it."""
        self.stopping = True

    def _start_what_can(self) -> None:
        """Start stages whose producers are done while there is a free place."""
        for step in list(self.waiting):
            if len(self.running) < self.jobs and self.done.keys() >= set(step.after):
                self.waiting.remove(step)
                log = self.plan.root / log_of(step.name)
                log.write_text("")
                process = self.context.Process(
                    target=reproduce, args=(self.plan.root, step.name, self.plan.order, log)
                )
                process.start()
                self.running[step.name] = process, time.monotonic()
                self._progress("start", step.name)

    def _reap(self) -> None:
        """Wait a moment and take note of the stages that ended."""
        wait([process.sentinel for process, _ in self.running.values()], POLL)
        for name, (process, started) in list(self.running.items()):
            if process.exitcode is None:
                continue
            del self.running[name]
            if process.exitcode == 0:
                self.done[name] = time.monotonic() - started
                self.expected.setdefault(base(name), []).append(self.done[name])
                with (self.plan.root / TIMES).open("a", encoding="utf-8") as file:
                    file.write(f"{name}\t{self.done[name]:.1f}\n")
                self._progress("done", name)
            elif not self.stopping:
                self.failed.append(name)
                self._progress("FAILED", name)
                log = log_of(name)
                say(f"{name}: exit code {process.exitcode}; the end of {log}:")
                say(tail(self.plan.root / log))

    def _progress(self, what: str, name: str) -> None:
        """Print a line with counts and times."""
        left = self._left()
        say(
            f"{what:6} {name}  [{len(self.done)}/{len(self.plan.steps)} done, {len(self.running)} "
            f"running, {clock(time.monotonic() - self.began)}"
            f"{'' if left is None else f', about {clock(left)} left'}]"
        )

    def _left(self) -> float | None:
        """Estimate the seconds that are left; None while some kind of stage was never timed."""
        ahead = [base(step.name) for step in self.waiting]
        moment = time.monotonic()
        now = [(base(name), moment - started) for name, (_, started) in self.running.items()]
        if not self.expected.keys() >= {*ahead, *(kind for kind, _ in now)}:
            return None
        mean = {kind: sum(times) / len(times) for kind, times in self.expected.items()}
        rest = sum(max(mean[kind] - spent, 0.0) for kind, spent in now)
        return (rest + sum(mean[kind] for kind in ahead)) / self.jobs

    def _end_all(self) -> None:
        """End what still runs, with all processes of its group."""
        left = [process for process, _ in self.running.values()]
        if left:
            say(f"stopping {', '.join(self.running)}")
        began = time.monotonic()
        ahead = list(ESCALATION)
        while left and time.monotonic() - began < GIVE_UP:
            number = 0  # only asks who is there
            if ahead and time.monotonic() - began >= ahead[0][0]:
                number = ahead.pop(0)[1]
            left = [process for process in left if reached(process, number)]
            if self.running:
                self._reap()
            else:
                time.sleep(POLL)

    def _summary(self) -> int:
        """Print how it ended; return the exit code."""
        say(f"{len(self.done)} stages done in {clock(time.monotonic() - self.began)}")
        if self.failed:
            say(f"failed: {', '.join(self.failed)}")
            if self.waiting:
                say(f"skipped, as they wait for these: {', '.join(s.name for s in self.waiting)}")
            say("the same command runs what is missing")
        return 1 if self.failed else 0


def reached(process: ForkServerProcess, number: int) -> bool:
    """Send a signal to a process and its group; return whether anybody was there."""
    pid = process.pid or 0
    with suppress(ProcessLookupError):
        os.killpg(pid, number)
        return True
    with suppress(ProcessLookupError):
        if process.exitcode is None:  # so young that it leads no group yet
            os.kill(pid, number)
            return True
    return False


def former_times(root: Path) -> dict[str, list[float]]:
    """Return how many seconds stages of each kind took here the last time."""
    last: dict[str, float] = {}
    if (file := root / TIMES).is_file():
        for line in file.read_text("utf-8", "replace").splitlines():
            name, _, took = line.partition("\t")
            with suppress(ValueError):  # a line that a kill left torn
                last[name] = float(took)
    found: dict[str, list[float]] = {}
    for name, seconds in last.items():
        found.setdefault(base(name), []).append(seconds)
    return found


def log_of(name: str) -> Path:
    """Return a stage's log, relative to the repository."""
    return LOGS / f"{name.replace('/', '_')}.log"


def arguments(words: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m slurm.local",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cores = cores_here()
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="stages; none means all")
    parser.add_argument("--jobs", type=int, default=cores, help=f"at a time (default: {cores})")
    parser.add_argument("--dry", action="store_true", help="only say what would run")
    found = parser.parse_args(words)
    if found.jobs < 1:
        parser.error(f"--jobs {found.jobs}: at least 1")
    return found


def main(words: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = arguments(words)
    try:
        os.chdir(Repo.find_root())
        check_study()
        plan = make_plan(given.targets)
    except (DvcException, InputError) as error:
        say(f"error: {explained(error)}")
        return 1
    except KeyboardInterrupt:
        return STOPPED
    if given.dry:
        for step in plan.steps:
            print(step.name, *(["after", ", ".join(step.after)] if step.after else []))
        if not plan.steps:
            say(NOTHING)
        return 0
    code = 0
    if plan.steps:
        code = Executor(plan, given.jobs).run()
    else:
        say(NOTHING)
    sort(plan.root, plan.order)
    return code


if __name__ == "__main__":
    sys.exit(main())
