"""Other programs: git, bash and those of SLURM."""

import subprocess
from pathlib import Path

from dvc.exceptions import DvcException


def call(*words: str, text: str | None = None, folder: Path | None = None) -> str:
    """Run a program; return what it prints.

    Parameters
    ----------
    words
        Its name and arguments.
    text
        What it reads.
    folder
        Where it runs.

    Raises
    ------
    dvc.exceptions.DvcException
        Where it is not installed or fails.
    """
    try:
        done = subprocess.run(  # noqa: S603 - words, no shell
            words, input=text, cwd=folder, capture_output=True, text=True, check=False,
            start_new_session=True,  # an interrupt of this program is not for it
        )  # fmt: skip
    except FileNotFoundError as error:
        raise DvcException(f"there is no `{words[0]}` here: install it") from error
    if done.returncode:
        raise DvcException(f"{' '.join(words[:2])}: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")
