"""Deferral of an interrupt until the computation's state can be saved."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def defer_interrupt() -> Iterator[Callable[[], bool]]:
    """Defer an interrupt (SIGINT) while the block runs; it is raised when the block ends.

    Yields a function that returns whether an interrupt was received; if so, the block should end
    soon. A second interrupt is not deferred. In threads other than the main one, which Python never
    interrupts, and in processes that ignore interrupts, nothing is deferred.

    Raises
    ------
    KeyboardInterrupt
        When the block has ended, if an interrupt was received.
    """
    previous = signal.getsignal(signal.SIGINT)
    if previous is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    interrupted = False

    def handle(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
    if interrupted:
        raise KeyboardInterrupt
