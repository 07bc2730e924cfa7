import os
import signal
import threading

import pytest

from cell_synergy.core.signals import defer_interrupt


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_is_deferred_until_the_block_ends():
    done = []

    def work():
        with defer_interrupt() as interrupted:
            for number in range(5):
                if number == 1:
                    interrupt()
                done.append((number, interrupted()))
                if interrupted():
                    break

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [(0, False), (1, True)]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_is_raised_at_once():
    seen = []

    def work():
        with defer_interrupt() as interrupted:
            interrupt()
            seen.append(interrupted())
            interrupt()
            seen.append(False)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert seen == [True]


def test_an_error_is_not_hidden_by_an_interrupt():
    def work():
        with defer_interrupt():
            interrupt()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with defer_interrupt() as interrupted:
            interrupt()
            assert not interrupted()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_has_nothing_to_hold_back():
    said = []

    def work():
        with defer_interrupt() as interrupted:
            said.append(interrupted())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [False]
