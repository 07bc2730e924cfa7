"""What both executors tell the user."""

import sys
from datetime import timedelta
from pathlib import Path

TAIL = 15  # lines of a failed stage's log that are shown


def say(text: str) -> None:
    """Print to standard error."""
    print(text, file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Write a time as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))


def tail(log: Path) -> str:
    """Return the last lines of a log, indented; of a progress bar, what it shows in the end."""
    if not log.is_file():
        return "    (no log)"
    lines = log.read_bytes().decode("utf-8", "replace").rstrip().split("\n")
    return "\n".join(f"    {line.rstrip().rpartition(chr(13))[2]}" for line in lines[-TAIL:])
