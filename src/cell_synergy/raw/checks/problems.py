"""Sentences about one data set, raised as one error."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cell_synergy.core.errors import DataError


class Told:
    """Sentences about one data set, raised as one error."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sentences: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.sentences)

    def add(self, sentences: Iterable[str]) -> None:
        """Add what is to be told."""
        self.sentences += sentences

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Tell an error later."""
        try:
            yield
        except DataError as error:
            self.sentences.append(str(error))

    def refuse(self) -> None:
        """Raise what was told, if anything was."""
        told = list(dict.fromkeys(self.sentences))
        if len(told) == 1:
            raise DataError(told[0])
        if told:
            lines = "".join(f"\n  {number}. {text}" for number, text in enumerate(told, start=1))
            raise DataError(
                f"{self.name}: params.yaml and the data do not go together, for {len(told)} "
                f"reasons:{lines}"
            )
