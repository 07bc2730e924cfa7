"""Errors that a user can mend, and how a command reports them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """What was given cannot be used; the message says what and names the remedy."""


class ConfigError(InputError):
    """A parameter that is unknown, missing or of the wrong kind; the message names it."""


class DataError(InputError):
    """Data that cannot be used; the message names file, column or value and the remedy."""


@contextmanager
def reported() -> Iterator[None]:
    """End the program with one sentence, not a traceback, where the user can mend the error."""
    try:
        yield
    except (InputError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
