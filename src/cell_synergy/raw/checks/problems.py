"""Contradictions between params.yaml and one data set, collected and raised as one error."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cell_synergy.core.errors import DataError


class Problems:
    """Messages about one data set, which are raised together as one error.

    Parameters
    ----------
    dataset
        Name of the data set, with which a message of several problems begins.
    """

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.messages: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.messages)

    def add(self, messages: Iterable[str]) -> None:
        """Add messages."""
        self.messages += messages

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Catch a `DataError` inside the block, and add its text to the messages."""
        try:
            yield
        except DataError as error:
            self.messages.append(str(error))

    def raise_if_any(self) -> None:
        """Raise one `DataError` with all distinct messages; do nothing if there are none."""
        messages = list(dict.fromkeys(self.messages))
        if len(messages) == 1:
            raise DataError(messages[0])
        if messages:
            lines = "".join(
                f"\n  {number}. {text}" for number, text in enumerate(messages, start=1)
            )
            raise DataError(
                f"{self.dataset}: params.yaml and the data contradict each other, for "
                f"{len(messages)} reasons:{lines}"
            )
