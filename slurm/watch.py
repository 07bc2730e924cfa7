"""A table of stages and states while jobs run."""

import shutil
import sys
import time
from dataclasses import dataclass, field

from slurm.console import clock, say

DONE, FAILED, SKIPPED, HELD = "done", "FAILED", "skipped", "not submitted"
RUNNING = "RUNNING"
FIRST = (FAILED, RUNNING)  # of what does not fit on the screen, the last are left out
USUAL = ("None", "Dependency", "Priority", "Resources")  # reasons that need not be told
LAST = (HELD, DONE, SKIPPED)


@dataclass
class Row:
    """A stage on its way.

    Attributes
    ----------
    state
        One of this module's, or SLURM's.
    job
        The job's number.
    why
        What SLURM says a job waits for.
    since
        When the state began, seconds.
    """

    state: str = HELD
    job: str = ""
    why: str = ""
    since: float = field(default_factory=time.monotonic)


class Table:
    """Rows by stage; redrawn in a terminal, else one line for each change."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.live = sys.stderr.isatty()
        self.drawn = 0
        self.began = time.monotonic()

    def set(self, name: str, state: str, job: str = "", why: str = "") -> None:
        """Note a stage's state."""
        row = self.rows.setdefault(name, Row())
        known = (row.state, row.why)
        if row.state != state:
            row.since = time.monotonic()
        row.state, row.job, row.why = state, job or row.job, "" if why in USUAL else why
        if (row.state, row.why) != known and not self.live:
            words = [f"{state:8} {name}", f"job {row.job}" if row.job else "", row.why]
            say("  ".join([*filter(None, words), f"[{self.counts()}]"]))

    def counts(self) -> str:
        """Return how many there are of what."""
        states = [row.state for row in self.rows.values()]
        found = [f"{states.count(DONE)}/{len(states)} done", f"{states.count(RUNNING)} running"]
        found += [f"{n} {what}" for what in (FAILED, SKIPPED) if (n := states.count(what))]
        return ", ".join([*found, clock(time.monotonic() - self.began)])

    def lines(self, width: int, height: int) -> list[str]:
        """Return the table's text, what matters first."""

        def rank(row: Row) -> int:
            order = [*FIRST, None, *LAST]
            return order.index(row.state if row.state in order else None)

        rows = sorted(self.rows.items(), key=lambda item: rank(item[1]))
        wide = max((len(name) for name in self.rows), default=0)
        found = []
        for name, row in rows[:height]:
            age = clock(time.monotonic() - row.since) if row.state == RUNNING else row.why
            found.append(f"{name:{wide}}  {row.state:13} {row.job:>8}  {age}"[:width])
        if len(rows) > height:
            found.append(f"... and {len(rows) - height} more")
        return [*found, self.counts()]

    def draw(self) -> None:
        """Draw the table over the last one."""
        if self.live:
            size = shutil.get_terminal_size()
            lines = self.lines(size.columns - 1, size.lines - 3)
            self.clear()
            say("\n".join(lines))
            self.drawn = len(lines)

    def clear(self) -> None:
        """Remove the drawn table, so that something can be said."""
        if self.drawn:
            print(f"\x1b[{self.drawn}A\x1b[J", end="", file=sys.stderr)
            self.drawn = 0
