"""A table of the stages and the states of their jobs."""

import shutil
import sys
import time
from dataclasses import dataclass, field

from runner.console import echo, format_duration

DONE, FAILED, SKIPPED, PENDING = "done", "FAILED", "skipped", "not submitted"
RUNNING = "RUNNING"
_FIRST = (FAILED, RUNNING)  # first rows; the last ones are omitted if the terminal is too small
_COMMON = ("None", "Dependency", "Priority", "Resources")  # reasons that are not shown
_LAST = (PENDING, DONE, SKIPPED)


@dataclass
class Row:
    """The state of one stage.

    Attributes
    ----------
    state
        A state of this module, such as `PENDING`, or SLURM's state of the job.
    job
        The job's number.
    reason
        SLURM's reason why the job waits.
    since
        Time at which the state began, in seconds.
    """

    state: str = PENDING
    job: str = ""
    reason: str = ""
    since: float = field(default_factory=time.monotonic)


class Table:
    """Rows by stage; redrawn in a terminal, else one line for each change."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.live = sys.stderr.isatty()
        self.drawn = 0
        self.began = time.monotonic()

    def set(self, name: str, state: str, job: str = "", reason: str = "") -> None:
        """Set the state of a stage; unless the table is redrawn, print a line if it has changed.

        Parameters
        ----------
        name
            Name of the stage.
        state
            State of this module, such as `PENDING`, or SLURM's state of the job.
        job
            Number of the job; empty to keep the former one.
        reason
            SLURM's reason why the job waits.
        """
        row = self.rows.setdefault(name, Row())
        before = (row.state, row.reason)
        if row.state != state:
            row.since = time.monotonic()
        row.state, row.job, row.reason = state, job or row.job, "" if reason in _COMMON else reason
        if (row.state, row.reason) != before and not self.live:
            parts = [f"{state:8} {name}", f"job {row.job}" if row.job else "", row.reason]
            echo("  ".join([*filter(None, parts), f"[{self.counts()}]"]))

    def counts(self) -> str:
        """Return the number of stages in each state, and the time."""
        states = [row.state for row in self.rows.values()]
        counts = [f"{states.count(DONE)}/{len(states)} done", f"{states.count(RUNNING)} running"]
        counts += [f"{n} {state}" for state in (FAILED, SKIPPED) if (n := states.count(state))]
        return ", ".join([*counts, format_duration(time.monotonic() - self.began)])

    def lines(self, width: int, height: int) -> list[str]:
        """Return the lines of the table, failed and running stages first.

        Parameters
        ----------
        width
            Maximal number of characters of a stage's line.
        height
            Maximal number of stages; one line has the number of all others.

        Returns
        -------
        :
            A line per stage with name, state, number of the job, and run time or SLURM's reason;
            the last line has the number of stages done, running, failed and skipped, and the time.
        """

        def rank(row: Row) -> int:
            order = [*_FIRST, None, *_LAST]
            return order.index(row.state if row.state in order else None)

        rows = sorted(self.rows.items(), key=lambda item: rank(item[1]))
        name_width = max((len(name) for name in self.rows), default=0)
        lines = []
        for name, row in rows[:height]:
            elapsed = format_duration(time.monotonic() - row.since)
            note = elapsed if row.state == RUNNING else row.reason
            lines.append(f"{name:{name_width}}  {row.state:13} {row.job:>8}  {note}"[:width])
        if len(rows) > height:
            lines.append(f"... and {len(rows) - height} more")
        return [*lines, self.counts()]

    def draw(self) -> None:
        """Draw the table in place of the last one."""
        if self.live:
            size = shutil.get_terminal_size()
            lines = self.lines(size.columns - 1, size.lines - 3)
            self.clear()
            echo("\n".join(lines))
            self.drawn = len(lines)

    def clear(self) -> None:
        """Remove the drawn table, to make room for a message."""
        if self.drawn:
            print(f"\x1b[{self.drawn}A\x1b[J", end="", file=sys.stderr)
            self.drawn = 0
