"""Submit and watch the jobs of a plan: pending, in flight, done, failed or skipped."""

import signal
import time
from collections.abc import Iterable, Iterator

from dvc.exceptions import DvcException

from runner.console import echo, tail
from runner.plan import Step, base_name
from slurm import scheduler
from slurm.batch import Batch
from slurm.profiles import Profile, Profiles
from slurm.script import job_script
from slurm.watch import DONE, FAILED, PENDING, SKIPPED, Table
from slurm.workspace import Workspace

_POLL = 1.0  # seconds between checks of the files that jobs write
_MAX_QUERY_INTERVAL = 15.0  # seconds between two calls of squeue
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Submission:
    """The steps of a plan and their jobs.

    Parameters
    ----------
    batch
        Folder in which the jobs are recorded.
    workspace
        Commit and cache that the jobs use.
    profiles
        Resources of the jobs.
    max_jobs
        Maximal number of jobs in flight; None for no limit.
    """

    def __init__(
        self, batch: Batch, workspace: Workspace, profiles: Profiles, max_jobs: int | None
    ) -> None:
        self.batch, self.workspace = batch, workspace
        self.profiles, self.max_jobs = profiles, max_jobs
        self.pending: dict[str, Step] = {}
        self.in_flight: dict[str, Step] = {}
        self.done: list[str] = []
        self.failed: list[str] = []
        self.skipped: list[str] = []
        self.table = Table()
        self.interrupted = False
        self.interval, self.queried = _POLL, 0.0

    def join(self, steps: Iterable[Step], before: dict[str, tuple[str, str]]) -> None:
        """Watch the steps whose jobs are already in flight, and make the other steps pending.

        A job that waits for a failed one is cancelled, and its step becomes pending.

        Parameters
        ----------
        steps
            Steps whose results are not in the run-cache.
        before
            State and reason of each job, by its number, as `scheduler.states` returned them before
            the run-cache was searched: a job that had ended by then has left no result.
        """
        for step in steps:
            job = self.batch.job(step.name)
            active = before.get(job or "", ("COMPLETED", ""))[0] not in scheduler.FINAL
            if job and active and self.in_flight.keys() >= set(step.after):
                self._watch(step, job)
                continue
            if job and active:  # it waits for a failed job
                scheduler.cancel([job])
            self.batch.remove(step.name)
            self.pending[step.name] = step
            self.table.set(step.name, PENDING)

    def submit(self) -> None:
        """Submit pending steps up to the limit, and watch jobs that another process has submitted.

        A step is submitted once the steps that it waits for are submitted; SLURM starts its job
        after their jobs succeed.

        Raises
        ------
        dvc.exceptions.DvcException
            If `sbatch` fails, or its output has no job number, or several.
        """
        for step in list(self.pending.values()):
            if job := self.batch.job(step.name):
                del self.pending[step.name]
                self._watch(step, job)
        for steps, profile in groups(self.pending.values(), self.profiles):
            submitted = self.in_flight.keys() | set(self.done)
            free = len(steps) if self.max_jobs is None else self.max_jobs - len(self.in_flight)
            if free > 0 and submitted >= set(steps[0].after):
                self._send(steps[:free], profile)

    def _send(self, steps: list[Step], profile: Profile) -> None:
        """Submit steps that differ only in their name: one job, or an array of jobs."""
        is_array = len(steps) > 1
        for step in steps:
            self.batch.prepare(step)
        job_name = base_name(steps[0].name) if is_array else steps[0].name
        jobs = [self.batch.job(name) for name in steps[0].after if name in self.in_flight]
        options = [
            f"--job-name={job_name}",
            f"--output={self.batch.logs}/{'%A_%a' if is_array else '%j'}.log",
            "--open-mode=append",
            "--requeue",
            "--kill-on-invalid-dep=yes",
            *profile.options(),
            *([f"--array=0-{len(steps) - 1}"] if is_array else []),
            *([f"--dependency=afterok:{':'.join(map(str, jobs))}"] if jobs else []),
        ]
        names = [step.name for step in steps]
        script = job_script(self.batch, self.workspace.cache, names, profile)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until the number is recorded
        try:
            number = scheduler.submit(script, options)
            for index, step in enumerate(steps):
                self.batch.record_job(step.name, f"{number}_{index}" if is_array else number)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for step in steps:
            del self.pending[step.name]
            self._watch(step, self.batch.job(step.name) or "")

    def _watch(self, step: Step, job: str) -> None:
        """Add a step to those in flight, with the number of its job."""
        self.in_flight[step.name] = step
        self.table.set(step.name, "submitted", job)

    def wait(self) -> bool:
        """Watch until all jobs have ended, and submit pending steps as others end.

        Returns
        -------
        :
            Whether a signal (SIGINT, SIGTERM or SIGHUP) ended the watch; jobs in flight continue.

        Raises
        ------
        dvc.exceptions.DvcException
            If a pending step cannot be submitted.
        """
        before = {number: signal.signal(number, self._interrupt) for number in _SIGNALS}
        try:
            while self.in_flight and not self.interrupted:
                self.table.draw()
                time.sleep(_POLL)
                self._update()
                if self.pending and (self.max_jobs is None or len(self.in_flight) < self.max_jobs):
                    with self.batch.locked():
                        self.submit()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self.table.draw()
        return self.interrupted

    def _interrupt(self, *_: object) -> None:
        """Handle a signal: the loop in `wait` ends."""
        self.interrupted = True

    def _update(self) -> None:
        """Update the states of the jobs."""
        states: dict[str, tuple[str, str]] | None = None
        if time.monotonic() - self.queried > self.interval:
            try:
                states = scheduler.states(expect_jobs=True)
            except DvcException as error:  # SLURM may be down temporarily
                self.table.clear()
                echo(f"waiting for SLURM: {error}")
            self.queried = time.monotonic()
            self.interval = min(self.interval * 1.3, _MAX_QUERY_INTERVAL)
        for name in list(self.in_flight):
            if name not in self.in_flight:  # cancelled in this loop, with one that failed
                continue
            job = self.batch.job(name) or ""
            state, reason = (states or {}).get(job, ("", ""))
            if self.batch.exit_code(name) == 0 or state == scheduler.COMPLETED:
                self._end(name, DONE, self.done)
            elif states is not None and (not state or state in scheduler.FINAL):
                self._fail(name, job, state or "gone from the queue")
            elif state:
                self.table.set(name, state, reason=reason)

    def _end(self, name: str, state: str, ended: list[str]) -> None:
        """Move a step to the list of those that ended in a state."""
        self.in_flight.pop(name, None)
        self.pending.pop(name, None)
        ended.append(name)
        self.table.set(name, state)
        self.interval = _POLL

    def _fail(self, name: str, job: str, state: str) -> None:
        """Print the end of a failed job's log, and cancel the jobs that wait for it."""
        self._end(name, FAILED, self.failed)
        code = self.batch.exit_code(name)
        how = scheduler.exit_code(job) or (f"exit code {code}" if code else "no exit code")
        log = self.batch.stage_folder(name) / "log"
        self.table.clear()
        echo(f"{name}: job {job} {state}, {how}; the end of {log.relative_to(self.batch.root)}:")
        echo(tail(log))
        failed = [name]
        for step in [*self.in_flight.values(), *self.pending.values()]:
            failed += [step.name] if set(failed) & set(step.after) else []
        jobs = [self.batch.job(waiting) for waiting in failed[1:]]
        scheduler.cancel([number for number in jobs if number])
        for waiting in failed[1:]:
            self._end(waiting, SKIPPED, self.skipped)


def groups(steps: Iterable[Step], profiles: Profiles) -> Iterator[tuple[list[Step], Profile]]:
    """Group steps that can be submitted as one array of jobs.

    The steps of a group are instances of one stage of dvc.yaml, have equal resources, and wait for
    the same steps.

    Parameters
    ----------
    steps
        Steps of a plan.
    profiles
        Resources by stage.

    Yields
    ------
    :
        Steps of a group, and their common profile; groups in the order of their first steps.
    """
    grouped: dict[tuple[str, Profile, tuple[str, ...]], list[Step]] = {}
    for step in steps:
        profile = profiles[step.name]
        grouped.setdefault((base_name(step.name), profile, step.after), []).append(step)
    for (_, profile, _), members in grouped.items():
        yield members, profile
