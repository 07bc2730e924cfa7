"""The jobs of a plan: those to submit, those on their way, and what became of them."""

import signal
import time
from collections.abc import Iterable, Iterator

from dvc.exceptions import DvcException

from slurm import scheduler
from slurm.batch import Batch
from slurm.console import say, tail
from slurm.plan import Step
from slurm.profiles import Profile, Profiles, base
from slurm.script import job_script
from slurm.watch import DONE, FAILED, SKIPPED, Table
from slurm.workspace import Workspace

LOOK = 1.0  # seconds between two looks at what the jobs wrote
ASK = 15.0  # and, at most, between two questions to SLURM
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Submission:
    """Steps on their way through SLURM.

    Parameters
    ----------
    batch
        Where jobs are noted.
    workspace
        What they are made of.
    profiles
        What they ask for.
    most
        How many may be in flight.
    """

    def __init__(
        self, batch: Batch, workspace: Workspace, profiles: Profiles, most: int | None
    ) -> None:
        self.batch, self.workspace, self.profiles, self.most = batch, workspace, profiles, most
        self.held: dict[str, Step] = {}
        self.flying: dict[str, Step] = {}
        self.done: list[str] = []
        self.failed: list[str] = []
        self.skipped: list[str] = []
        self.table = Table()
        self.stopping = False
        self.pause, self.asked = LOOK, 0.0

    def join(self, steps: Iterable[Step], before: dict[str, tuple[str, str]]) -> None:
        """Take over the jobs that are in flight; the other steps are to be submitted.

        Parameters
        ----------
        steps
            What is to be done.
        before
            SLURM's states from before the steps were found not to be in the cache: what was done
            then has lost its result.
        """
        for step in steps:
            job = self.batch.job(step.name)
            flies = before.get(job or "", ("COMPLETED", ""))[0] not in scheduler.FINAL
            if job and flies and self.flying.keys() >= set(step.after):
                self._take(step, job)
                continue
            if job and flies:  # it waits for one that failed
                scheduler.cancel([job])
            self.batch.forget(step.name)
            self.held[step.name] = step
            self.table.set(step.name, "not submitted")

    def submit(self) -> None:
        """Submit what may be in flight, or join what another process has submitted meanwhile."""
        for step in list(self.held.values()):
            if job := self.batch.job(step.name):
                del self.held[step.name]
                self._take(step, job)
        for steps, profile in groups(self.held.values(), self.profiles):
            known = self.flying.keys() | set(self.done)
            places = len(steps) if self.most is None else self.most - len(self.flying)
            if places > 0 and known >= set(steps[0].after):
                self._send(steps[:places], profile)

    def _send(self, steps: list[Step], profile: Profile) -> None:
        """Submit steps that differ in nothing but their name: one job, or an array."""
        many = len(steps) > 1
        for step in steps:
            self.batch.prepare(step)
        name = base(steps[0].name) if many else steps[0].name
        jobs = [self.batch.job(made) for made in steps[0].after if made in self.flying]
        options = [
            f"--job-name={name}",
            f"--output={self.batch.logs}/{'%A_%a' if many else '%j'}.log",
            "--open-mode=append",
            "--requeue",
            "--kill-on-invalid-dep=yes",
            *profile.options(),
            *([f"--array=0-{len(steps) - 1}"] if many else []),
            *([f"--dependency=afterok:{':'.join(map(str, jobs))}"] if jobs else []),
        ]
        names = [step.name for step in steps]
        script = job_script(self.batch, self.workspace.cache, names, profile)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # or a job's number is lost
        try:
            number = scheduler.submit(script, options)
            for index, step in enumerate(steps):
                self.batch.submitted(step.name, f"{number}_{index}" if many else number)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for step in steps:
            del self.held[step.name]
            self._take(step, self.batch.job(step.name) or "")

    def _take(self, step: Step, job: str) -> None:
        """Watch a job."""
        self.flying[step.name] = step
        self.table.set(step.name, "submitted", job)

    def wait(self) -> bool:
        """Watch until all is done or failed; return whether a signal ended that."""
        before = {number: signal.signal(number, self._stop) for number in SIGNALS}
        try:
            while self.flying and not self.stopping:
                self.table.draw()
                time.sleep(LOOK)
                self._look()
                if self.held and (self.most is None or len(self.flying) < self.most):
                    with self.batch.locked():
                        self.submit()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self.table.draw()
        return self.stopping

    def _stop(self, *_: object) -> None:
        """Note a signal; the loop sees it."""
        self.stopping = True

    def _look(self) -> None:
        """Take note of what has become of the jobs."""
        states: dict[str, tuple[str, str]] | None = None
        if time.monotonic() - self.asked > self.pause:
            try:
                states = scheduler.states(some=True)
            except DvcException as error:  # it comes back
                self.table.clear()
                say(f"waiting for SLURM: {error}")
            self.asked = time.monotonic()
            self.pause = min(self.pause * 1.3, ASK)
        for name in list(self.flying):
            if name not in self.flying:  # cancelled in this loop, with one that failed
                continue
            job = self.batch.job(name) or ""
            state, why = (states or {}).get(job, ("", ""))
            if self.batch.code(name) == 0 or state == scheduler.COMPLETED:
                self._end(name, DONE, self.done)
            elif states is not None and (not state or state in scheduler.FINAL):
                self._fail(name, job, state or "gone from the queue")
            elif state:
                self.table.set(name, state, why=why)

    def _end(self, name: str, state: str, where: list[str]) -> None:
        """Take a step off the list."""
        self.flying.pop(name, None)
        self.held.pop(name, None)
        where.append(name)
        self.table.set(name, state)
        self.pause = LOOK

    def _fail(self, name: str, job: str, state: str) -> None:
        """Report a failed job and cancel what waits for it."""
        self._end(name, FAILED, self.failed)
        code = self.batch.code(name)
        how = scheduler.exit_code(job) or (f"exit code {code}" if code else "no exit code")
        log = self.batch.of(name) / "log"
        self.table.clear()
        say(f"{name}: job {job} {state}, {how}; the end of {log.relative_to(self.batch.root)}:")
        say(tail(log))
        lost = [name]
        for step in [*self.flying.values(), *self.held.values()]:
            lost += [step.name] if set(lost) & set(step.after) else []
        jobs = [self.batch.job(waiting) for waiting in lost[1:]]
        scheduler.cancel([number for number in jobs if number])
        for waiting in lost[1:]:
            self._end(waiting, SKIPPED, self.skipped)


def groups(steps: Iterable[Step], profiles: Profiles) -> Iterator[tuple[list[Step], Profile]]:
    """Put steps together that share name, resources and what they wait for."""
    found: dict[tuple[str, Profile, tuple[str, ...]], list[Step]] = {}
    for step in steps:
        profile = profiles[step.name]
        found.setdefault((base(step.name), profile, step.after), []).append(step)
    for (_, profile, _), members in found.items():
        yield members, profile
