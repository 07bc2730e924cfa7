"""SLURM's commands, without accounting: `sbatch`, `squeue`, `scontrol`, `scancel`."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress

from dvc.exceptions import DvcException

from slurm.command import call

# What a job does not leave again. All else, REQUEUED and SUSPENDED too, is on its way.
FINAL = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "REVOKED", "TIMEOUT",
}  # fmt: skip
COMPLETED = "COMPLETED"


def submit(script: str, options: Sequence[str]) -> str:
    """Give a script to `sbatch`; return the job's number."""
    return call("sbatch", "--parsable", *options, text=script).split(";")[0]


def states() -> dict[str, tuple[str, str]]:
    """Return state and reason of all the user's jobs that SLURM remembers, by number.

    A task of an array is `12_3`. What has ended is remembered for some minutes.
    """
    found = call("squeue", "--noheader", "--me", "--array", "--states=all", "--format=%i|%T|%r")
    lines = (line.split("|", 2) for line in found.splitlines())
    return {job: (state, reason) for job, state, reason in lines}


def exit_code(job: str) -> str | None:
    """Say how a job ended, e.g. `exit code 3` or `signal 9`, while SLURM remembers it."""
    try:
        found = re.search(r"ExitCode=(\d+):(\d+)", call("scontrol", "show", "job", job))
    except DvcException:
        return None
    if not found or found[0] == "ExitCode=0:0":
        return None
    return f"signal {found[2]}" if found[2] != "0" else f"exit code {found[1]}"


def cancel(jobs: Iterable[str]) -> None:
    """End jobs; those that have ended are no error."""
    if jobs := list(jobs):
        with suppress(DvcException):
            call("scancel", "--quiet", *jobs)
