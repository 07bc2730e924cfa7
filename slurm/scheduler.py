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


# Sites and modules greet on standard output too: only lines of these forms are SLURM's own.
_NUMBER = re.compile(r"(?:Submitted batch job )?(\d+)(?:;\S+)?(?: on cluster \S+)?")
_STATE = re.compile(r"(\d+(?:[_+]\S+)?)\|([A-Z_]+)\|(.*)")


def submit(script: str, options: Sequence[str]) -> str:
    """Give a script to `sbatch`; return the job's number.

    Raises
    ------
    dvc.exceptions.DvcException
        Where `sbatch` fails, or its answer does not tell which job it made.
    """
    said = call("sbatch", "--parsable", *options, text=script)
    found = [match[1] for line in said.splitlines() if (match := _NUMBER.fullmatch(line.strip()))]
    if len(set(found)) > 1:  # a greeting with a number of its own
        known = {job.partition("_")[0] for job in states()}
        found = [number for number in found if number in known]
    if len(set(found)) == 1:
        return found[0]
    name = next((word for word in options if word.startswith("--job-name=")), "--job-name=")
    raise DvcException(
        f"sbatch answered {said[-200:]!r}, which does not tell the job's number; "
        f"`squeue --me --name={name.partition('=')[2]}` lists a job that it may have made: end "
        "that with `scancel NUMBER` before the same command, or it runs twice"
    )


def states(*, some: bool = False) -> dict[str, tuple[str, str]]:
    """Return state and reason of all the user's jobs that SLURM remembers, by number.

    A task of an array is `12_3`. What has ended is remembered for some minutes.

    Parameters
    ----------
    some
        Whether there are jobs that were submitted: then an answer with text and no job is none.

    Raises
    ------
    dvc.exceptions.DvcException
        Where `squeue` fails or does not answer.
    """
    said = call("squeue", "--noheader", "--me", "--array", "--states=all", "--format=%i|%T|%r")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    found = [match for line in lines if (match := _STATE.fullmatch(line))]
    if some and lines and not found:
        raise DvcException(f"squeue answered {said[-200:]!r}, which lists no jobs")
    return {match[1]: (match[2], match[3]) for match in found}


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
