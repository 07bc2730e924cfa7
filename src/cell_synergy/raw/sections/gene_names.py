"""Genes of sections brought under the same names, and how many of them sections share.

Some sections name genes by symbol and others by Ensembl id, with or without a version. Where they
differ, versions go and ids become symbols by the table of GENCODE v44 that the package celltypist
carries. Symbols are never changed: those of mouse and human differ in capitals, and are not mapped.
"""

import csv
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import sparse
from tqdm import tqdm

from cell_synergy.core.errors import DataError

_TABLE = "celltypist/data/samples/GENCODEv44_Gene_id2name.csv"
_ID = re.compile(r"(ENS[A-Z]*G\d{11})(\.\d+)?(_PAR_Y)?$")
_MOST = 0.5  # share of ids from which a section is named by id


def name_alike(name: str, tables: dict[str, ad.AnnData]) -> dict[str, ad.AnnData]:
    """Return the sections with the same kind of names for their genes.

    Parameters
    ----------
    name
        The data set, for the log.
    tables
        Counts by section, with the counts of their cells in `uns["cells"]` (or None).
    """
    by_id = {key: _share_of_ids(table.var_names) > _MOST for key, table in tables.items()}
    first = next(iter(tables.values())).var_names
    if not any(by_id.values()) or all(table.var_names.equals(first) for table in tables.values()):
        return tables
    symbols = {} if all(by_id.values()) else _symbols()
    renamed = dict(tables)
    for key in [key for key, is_id in by_id.items() if is_id]:
        bare = [match[1] if (match := _ID.match(gene)) else gene for gene in tables[key].var_names]
        renamed[key] = _renamed(tables[key], [symbols.get(gene, gene) for gene in bare])
        if symbols:
            found = sum(gene in symbols for gene in bare)
            tqdm.write(f"{name}: section {key}: {found} of {len(bare)} Ensembl ids became symbols")
    return renamed


def require_shared(name: str, tables: dict[str, ad.AnnData], least: float) -> None:
    """Refuse sections two of which share fewer genes than `least` of the larger one's.

    A gene that a section lacks counts as zero there, so a small panel beside a transcriptome would
    be mostly zeros; how many genes are lacking is told.

    Raises
    ------
    DataError
        With the two sections that share least, and what is likely.
    """
    keys, shared = list(tables), _shared([table.var_names for table in tables.values()])
    size = np.diag(shared)
    share = shared / np.maximum(size[:, None], size)
    i, j = np.unravel_index(int(share.argmin()), share.shape)
    if share[i, j] < least:
        one, two = (tables[keys[k]].var_names for k in (i, j))
        raise DataError(
            f"{name}: sections {keys[i]} ({len(one)} genes, e.g. {_example(one, two)}) and "
            f"{keys[j]} ({len(two)} genes, e.g. {_example(two, one)}) share "
            f"{int(shared[i, j])} genes, {share[i, j]:.0%} of the larger one's; pairs.shared_genes "
            f"asks for {least:.0%}; {_remedy(one, two, least)}"
        )
    every = set.intersection(*(set(table.var_names) for table in tables.values()))
    total = len(set.union(*(set(table.var_names) for table in tables.values())))
    if len(every) < total:
        worst = keys[int(size.argmin())]
        tqdm.write(
            f"{name}: {len(every)} of {total} genes are in every section; one that a section lacks "
            f"counts as zero there (section {worst} lacks {total - int(size.min())})"
        )


def _shared(genes: list[pd.Index]) -> Float64[np.ndarray, "sections sections"]:
    """Return how many genes each two sections share."""
    every = pd.Index(sorted(set().union(*genes)))
    column = np.concatenate([every.get_indexer(own) for own in genes])
    row = np.repeat(np.arange(len(genes)), [len(own) for own in genes])
    shape = (len(genes), len(every))
    has = sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=shape)
    return np.asarray((has @ has.T).todense())


def _example(own: pd.Index, other: pd.Index) -> str:
    only = own.difference(other, sort=False)
    return repr(str((only if len(only) else own)[0]))


def _remedy(one: pd.Index, two: pd.Index, least: float) -> str:
    folded = [{str(gene).casefold() for gene in own} for own in (one, two)]
    if len(folded[0] & folded[1]) >= least * max(map(len, folded)):
        return (
            "they differ in capitals, as the symbols of mouse and human do: take one species, or "
            "write the symbols of all sections alike"
        )
    if (_share_of_ids(one) > _MOST) != (_share_of_ids(two) > _MOST):
        return (
            "one names genes by Ensembl id, and GENCODE has too few of its ids: name the genes of "
            "all sections by symbol"
        )
    if len(set(one) & set(two)) >= least * min(len(one), len(two)):
        return "leave the genes out that only one of them has, or take sections of one panel"
    return "name the genes of all sections alike, or take sections of one panel and species"


def _share_of_ids(genes: pd.Index) -> float:
    return float(np.mean([_ID.match(str(gene)) is not None for gene in genes]))


def _symbols() -> dict[str, str]:
    """Return the symbol of each human Ensembl id, by GENCODE v44."""
    try:
        path = Path(str(distribution("celltypist").locate_file(_TABLE)))
    except PackageNotFoundError as error:
        raise DataError(
            "Ensembl ids are mapped to symbols with the table in the package celltypist: install "
            "it, or name the genes of all sections by symbol"
        ) from error
    with path.open(newline="", encoding="utf-8") as lines:
        return {row[0]: row[1] for row in csv.reader(lines)}


def _renamed(table: ad.AnnData, named: list[str]) -> ad.AnnData:
    """Return counts by the new names of genes; those of genes that now share one are added."""
    column, found = pd.factorize(np.array(named, dtype=object))
    ones = np.ones(len(named), dtype=np.float32)
    onto = sparse.csr_matrix((ones, (np.arange(len(named)), column)))
    cells = table.uns["cells"]
    new = ad.AnnData(
        _onto(table.X, onto),
        obs=table.obs,
        var=pd.DataFrame(index=pd.Index(found, dtype=object)),
        obsm=dict(table.obsm),
    )
    new.uns = table.uns | {"cells": cells and (_onto(cells[0], onto), cells[1])}
    return new


def _onto(counts: sparse.csr_matrix, onto: sparse.csr_matrix) -> sparse.csr_matrix:
    new = sparse.csr_matrix(counts @ onto)
    new.sort_indices()
    return new
