"""Run other programs: git, bash and those of SLURM."""

import subprocess
from pathlib import Path

from dvc.exceptions import DvcException


def call(*argv: str, stdin: str | None = None, cwd: Path | None = None) -> str:
    """Run a program; return its standard output.

    Parameters
    ----------
    argv
        Name and arguments of the program.
    stdin
        Text of its standard input; None for the standard input of this process.
    cwd
        Its working directory; None for that of this process.

    Raises
    ------
    dvc.exceptions.DvcException
        If the program is not installed or fails.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            argv, input=stdin, cwd=cwd, capture_output=True, text=True, check=False,
            start_new_session=True,  # Ctrl-C must not reach it
        )  # fmt: skip
    except FileNotFoundError as error:
        raise DvcException(f"there is no `{argv[0]}` here: install it") from error
    if done.returncode:
        raise DvcException(f"{' '.join(argv[:2])}: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")
