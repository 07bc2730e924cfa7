"""Unification of gene names over the sections of a data set, and check of their shared genes.

Some sections name genes by symbol and others by Ensembl id, with or without a version. Where
sections differ, versions are removed and ids are mapped to symbols by the table of GENCODE v44 in
the package celltypist. Symbols are never changed: those of mouse and human differ in capitals, and
are not mapped to each other.
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
from cell_synergy.raw.sections.count_matrix import sum_columns

_GENCODE_TABLE = "celltypist/data/samples/GENCODEv44_Gene_id2name.csv"
_ENSEMBL_ID = re.compile(r"(ENS[A-Z]*G\d{11})(\.\d+)?(_PAR_Y)?$")
_MIN_ID_FRACTION = 0.5  # above this fraction of Ensembl ids, a section counts as named by id


def unify_gene_names(name: str, sections: dict[str, ad.AnnData]) -> dict[str, ad.AnnData]:
    """Return the sections with gene names of one kind: symbols, or Ensembl ids without a version.

    Parameters
    ----------
    name
        The data set, for the log.
    sections
        Counts by section name, observations x genes, with the counts of cells in `uns["cells"]` (as
        `cell_counts.cells_of` returns them, or None).

    Returns
    -------
    :
        Sections by name; unchanged if all have equal genes in equal order, or none names genes by
        Ensembl id. Counts of genes that get one name are added; ids that the table lacks are kept,
        without a version.

    Raises
    ------
    DataError
        If ids must be mapped to symbols and the package `celltypist` is not installed.
    """
    by_id = {key: _id_fraction(adata.var_names) > _MIN_ID_FRACTION
             for key, adata in sections.items()}  # fmt: skip
    first = next(iter(sections.values())).var_names
    equal = all(adata.var_names.equals(first) for adata in sections.values())
    if equal or not any(by_id.values()):
        return sections
    symbol_of = {} if all(by_id.values()) else _read_symbols()
    renamed = dict(sections)
    for key in [key for key, is_id in by_id.items() if is_id]:
        ids = [_without_version(gene) for gene in sections[key].var_names]
        renamed[key] = _rename_genes(sections[key], [symbol_of.get(gene, gene) for gene in ids])
        if symbol_of:
            n_mapped = sum(gene in symbol_of for gene in ids)
            tqdm.write(
                f"{name}: section {key}: {n_mapped} of {len(ids)} Ensembl ids became symbols"
            )
    return renamed


def require_shared(name: str, sections: dict[str, ad.AnnData], min_share: float) -> None:
    """Refuse two sections that share less than `min_share` of the genes of the larger one.

    A gene that a section does not measure counts as zero there, so that the counts of a small panel
    beside a transcriptome would be mostly zeros. The number of such genes is logged.

    Parameters
    ----------
    name
        The data set, for messages.
    sections
        Counts by section name, observations x genes.
    min_share
        Smallest share that is allowed, `pairs.shared_genes`.

    Raises
    ------
    DataError
        If a pair of sections is below `min_share`; the message is on the pair with the smallest
        share.
    """
    keys = list(sections)
    n_shared = _count_shared([adata.var_names for adata in sections.values()])
    size = np.diag(n_shared)
    share = n_shared / np.maximum(size[:, None], size)
    i, j = np.unravel_index(int(share.argmin()), share.shape)
    if share[i, j] < min_share:
        first, second = (sections[keys[k]].var_names for k in (i, j))
        raise DataError(
            f"{name}: sections {keys[i]} ({len(first)} genes, e.g. {_example(first, second)}) and "
            f"{keys[j]} ({len(second)} genes, e.g. {_example(second, first)}) share "
            f"{int(n_shared[i, j])} genes, {share[i, j]:.0%} of the larger one's; "
            f"pairs.shared_genes requires {min_share:.0%}; {_remedy(first, second, min_share)}"
        )
    in_all = set.intersection(*(set(adata.var_names) for adata in sections.values()))
    in_any = set.union(*(set(adata.var_names) for adata in sections.values()))
    if len(in_all) < len(in_any):
        smallest = int(size.argmin())
        tqdm.write(
            f"{name}: {len(in_all)} of {len(in_any)} genes are in every section; one that a "
            f"section lacks counts as zero there (section {keys[smallest]} lacks "
            f"{len(in_any) - int(size[smallest])})"
        )


def _count_shared(genes: list[pd.Index]) -> Float64[np.ndarray, "sections sections"]:
    """Return the number of genes that each two sections share; the diagonal has their numbers."""
    union = pd.Index(sorted(set().union(*genes)))
    column = np.concatenate([union.get_indexer(names) for names in genes])
    row = np.repeat(np.arange(len(genes)), [len(names) for names in genes])
    shape = (len(genes), len(union))
    measured = sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=shape)
    return np.asarray((measured @ measured.T).todense())


def _example(genes: pd.Index, other: pd.Index) -> str:
    """Return a gene for a message, if possible one that the other section does not measure."""
    unshared = genes.difference(other, sort=False)
    return repr(str(unshared[0] if len(unshared) else genes[0]))


def _remedy(first: pd.Index, second: pd.Index, min_share: float) -> str:
    """Return the likely cause of few shared genes in two sections, and the remedy."""
    first_folded, second_folded = ({str(gene).casefold() for gene in g} for g in (first, second))
    larger = max(len(first_folded), len(second_folded))
    if len(first_folded & second_folded) >= min_share * larger:
        return (
            "they differ in capitals, as the symbols of mouse and human do: take one species, or "
            "write the symbols of all sections alike"
        )
    if (_id_fraction(first) > _MIN_ID_FRACTION) != (_id_fraction(second) > _MIN_ID_FRACTION):
        return (
            "one names genes by Ensembl id, and GENCODE has too few of its ids: name the genes of "
            "all sections by symbol"
        )
    if len(set(first) & set(second)) >= min_share * min(len(first), len(second)):
        return "leave the genes out that only one of them has, or take sections of one panel"
    return "name the genes of all sections alike, or take sections of one panel and species"


def _id_fraction(genes: pd.Index) -> float:
    """Return the fraction of names that are Ensembl ids."""
    return float(np.mean([_ENSEMBL_ID.match(str(gene)) is not None for gene in genes]))


def _without_version(gene: str) -> str:
    match = _ENSEMBL_ID.match(gene)
    return match[1] if match else gene


def _read_symbols() -> dict[str, str]:
    """Return the symbol of each human Ensembl id, by GENCODE v44."""
    try:
        path = Path(str(distribution("celltypist").locate_file(_GENCODE_TABLE)))
    except PackageNotFoundError as error:
        raise DataError(
            "Ensembl ids are mapped to symbols with the table in the package celltypist: install "
            "it, or name the genes of all sections by symbol"
        ) from error
    with path.open(newline="", encoding="utf-8") as lines:
        return {row[0]: row[1] for row in csv.reader(lines)}


def _rename_genes(adata: ad.AnnData, names: list[str]) -> ad.AnnData:
    """Return counts with new gene names; the counts of genes that now share a name are added."""
    counts, genes = sum_columns(adata.X, names)
    cells = adata.uns["cells"]
    if cells is not None:
        cells = (sum_columns(cells[0], names)[0], cells[1])
    renamed = ad.AnnData(
        counts, obs=adata.obs, var=pd.DataFrame(index=genes), obsm=dict(adata.obsm)
    )
    renamed.uns = adata.uns | {"cells": cells}
    return renamed
