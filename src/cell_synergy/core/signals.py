"""An interrupt that waits until what is under way can be kept."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Hold back an interrupt (SIGINT) while the block runs; it is raised when the block ends.

    The block is given a function that says whether one came, and has to end soon if so. A second
    interrupt is not held back. Threads other than the main one are never interrupted by Python,
    and a process that ignores interrupts goes on ignoring them.

    Raises
    ------
    KeyboardInterrupt
        When the block has ended, if an interrupt came.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came = False

    def note(*_: object) -> None:
        nonlocal came
        came = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
