"""Mapping of gene symbols to Ensembl ids, with tables in the wheel `celltypist` (MIT).

GENCODE v44 has 62,754 human genes. Ensembl 105 has the human orthologues of mouse genes, whose ids
Nicheformer uses for genes of both species.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pandas as pd

from cell_synergy.core.errors import ConfigError
from cell_synergy.encoders._nicheformer.tokenizer import Species

_TABLES = "celltypist/data/samples"
_HUMAN, _MOUSE = "GENCODEv44_Gene_id2name.csv", "Ensembl105_Human2Mouse_Genes.csv"
_ID = re.compile(r"(ENS[A-Z]*G\d{11})(\.\d+)?$")


@dataclass(frozen=True)
class MappedGenes:
    """Ensembl ids of genes.

    Attributes
    ----------
    ids
        Id of each gene, without a version; the name of a gene without an id.
    unmapped
        Names of genes without an id.
    duplicates
        Ids that several names map to.
    """

    ids: pd.Index
    unmapped: list[str]
    duplicates: list[str]


def to_ensembl(
    names: Sequence[str] | pd.Index, vocabulary: pd.Index, species: Species
) -> MappedGenes:
    """Return the Ensembl id, without its version, of each gene.

    Symbols are looked up in the tables of the package `celltypist`, which are read only if a name
    is not in `vocabulary`.

    Parameters
    ----------
    names
        Names of the genes: symbols, or Ensembl ids with or without a version.
    vocabulary
        Ids to which symbols are mapped. If several of them have one symbol, the first in the table
        is used.
    species
        Species of the symbols; mouse symbols are mapped to the ids of their human orthologues.

    Raises
    ------
    ConfigError
        If a table is needed and the package `celltypist` is not installed.
    """
    unversioned = [match[1] if (match := _ID.match(name)) else name for name in map(str, names)]
    id_of: dict[str, str] = {}
    if not set(unversioned) <= set(vocabulary):
        id_of = _human_ids(set(vocabulary))
        if species == "mouse":
            id_of = _mouse_ids(id_of)
    ids = pd.Index([name if _ID.match(name) else id_of.get(name, name) for name in unversioned])
    is_mapped = np.array([bool(_ID.match(gene)) for gene in ids], dtype=bool)
    unmapped = [name for name, mapped in zip(names, is_mapped, strict=True) if not mapped]
    mapped_ids = ids[is_mapped]
    return MappedGenes(ids, unmapped, sorted(set(mapped_ids[mapped_ids.duplicated()])))


def _human_ids(vocabulary: set[str]) -> dict[str, str]:
    """Return the id of each human symbol, limited to ids in the vocabulary."""
    id_of: dict[str, str] = {}
    for gene_id, symbol in _read_table(_HUMAN):
        if gene_id in vocabulary:
            id_of.setdefault(symbol, gene_id)
    return id_of


def _mouse_ids(human_ids: dict[str, str]) -> dict[str, str]:
    """Return the id of the human orthologue of each mouse symbol."""
    id_of: dict[str, str] = {}
    for human_symbol, mouse_symbol in _read_table(_MOUSE):
        if mouse_symbol and human_symbol in human_ids:
            id_of.setdefault(mouse_symbol, human_ids[human_symbol])
    return id_of


def _read_table(file: str) -> Iterator[tuple[str, str]]:
    try:
        path = Path(str(distribution("celltypist").locate_file(f"{_TABLES}/{file}")))
    except PackageNotFoundError as error:
        raise ConfigError(
            "mapping gene symbols needs the tables in the package celltypist: install it, or "
            "name the genes by Ensembl ids"
        ) from error
    with path.open(newline="") as lines:
        yield from ((row[0], row[1]) for row in csv.reader(lines))
