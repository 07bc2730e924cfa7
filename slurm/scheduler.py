"""Call SLURM's `sbatch`, `squeue`, `scontrol` and `scancel`; no accounting is needed."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress

from dvc.exceptions import DvcException

from slurm.command import call

# Final states. A job in any other, REQUEUED and SUSPENDED included, is in flight.
FINAL = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "REVOKED", "TIMEOUT",
}  # fmt: skip
COMPLETED = "COMPLETED"

# Sites and modules print to standard output too: only lines of these forms are SLURM's.
_NUMBER = re.compile(r"(?:Submitted batch job )?(\d+)(?:;\S+)?(?: on cluster \S+)?")
_STATE = re.compile(r"(\d+(?:[_+]\S+)?)\|([A-Z_]+)\|(.*)")


def submit(script: str, options: Sequence[str]) -> str:
    """Submit a script with `sbatch`; return the number of the job.

    Parameters
    ----------
    script
        Text of the script.
    options
        Options of `sbatch`, such as `--mem=8G`.

    Raises
    ------
    dvc.exceptions.DvcException
        If `sbatch` fails, or its output has no job number, or several.
    """
    output = call("sbatch", "--parsable", *options, stdin=script)
    lines = [line.strip() for line in output.splitlines()]
    numbers = [match[1] for line in lines if (match := _NUMBER.fullmatch(line))]
    if len(set(numbers)) > 1:  # a site's message with a number in it
        jobs = {job.partition("_")[0] for job in states()}
        numbers = [number for number in numbers if number in jobs]
    if len(set(numbers)) == 1:
        return numbers[0]
    name = next((option for option in options if option.startswith("--job-name=")), "--job-name=")
    raise DvcException(
        f"sbatch answered {output[-200:]!r}, which has no job number; "
        f"`squeue --me --name={name.partition('=')[2]}` lists a job that it may have made: end "
        "that with `scancel NUMBER` before the same command, or it runs twice"
    )


def states(*, expect_jobs: bool = False) -> dict[str, tuple[str, str]]:
    """Return the states of the user's jobs; `squeue` lists ended jobs for some minutes only.

    Parameters
    ----------
    expect_jobs
        Whether jobs were submitted, so that output without any job is an error.

    Returns
    -------
    :
        State and reason, such as `("PENDING", "Priority")`, by the number of the job; the number of
        a task of an array is like `12_3`.

    Raises
    ------
    dvc.exceptions.DvcException
        If `squeue` fails, or its output is not empty and lists no job although `expect_jobs`.
    """
    output = call("squeue", "--noheader", "--me", "--array", "--states=all", "--format=%i|%T|%r")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    matches = [match for line in lines if (match := _STATE.fullmatch(line))]
    if expect_jobs and lines and not matches:
        raise DvcException(f"squeue answered {output[-200:]!r}, which lists no jobs")
    return {match[1]: (match[2], match[3]) for match in matches}


def exit_code(job: str) -> str | None:
    """Return how a job failed, such as `exit code 3` or `signal 9`; None if that is unknown."""
    try:
        match = re.search(r"ExitCode=(\d+):(\d+)", call("scontrol", "show", "job", job))
    except DvcException:
        return None
    if not match or match[0] == "ExitCode=0:0":
        return None
    return f"signal {match[2]}" if match[2] != "0" else f"exit code {match[1]}"


def cancel(jobs: Iterable[str]) -> None:
    """Cancel jobs; those that have ended are ignored."""
    if jobs := list(jobs):
        with suppress(DvcException):
            call("scancel", "--quiet", *jobs)
