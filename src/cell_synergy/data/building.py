"""Sections joined into the pairs of a data set (see `cell_synergy.data.units.pairs`)."""

from collections.abc import Iterable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from tqdm import tqdm

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import as_labels, check_spellings
from cell_synergy.data.images import on_tissue, open_slide
from cell_synergy.data.readers import Section
from cell_synergy.data.sections.account import Account, Limits, Share
from cell_synergy.data.sections.cells import of_units, onto_genes, stack
from cell_synergy.data.sections.genes import name_alike, require_shared
from cell_synergy.data.units.classes import ClassRule, classes
from cell_synergy.data.units.dataset import Dataset
from cell_synergy.data.units.pairs import log_normalise


class Rules(Limits, ClassRule):
    """What becomes a pair, a class and a gene of the panel.

    Attributes
    ----------
    panel_share
        A gene of the panel is seen in this share of the reference units.
    outside
        Share of a section's spots outside its image above which the section is refused.
    shared_genes
        Share of the larger section's genes that any two sections have in common, at least.
    """

    panel_share: Share
    outside: Share
    shared_genes: Share


def build(
    name: str,
    sections: Iterable[Section],
    dataset: Dataset,
    rules: Rules,
    raw: Path,
    account: Account | None = None,
) -> tuple[ad.AnnData, ad.AnnData]:
    """Join the sections of a data set into study pairs and reference units.

    Units without the image around them, or off tissue, are dropped and counted, in the log and in
    `account`, which is filled; so are, in the log, donors that `roles` does not name.

    Returns
    -------
    The pairs that the study scores, and the units of reference donors (with or without image).
    """
    account = Account() if account is None else account
    study: dict[str, ad.AnnData] = {}
    reference: dict[str, ad.AnnData] = {}
    seen: set[str] = set()
    donors_of: dict[str, str] = {}
    for section in tqdm(sections, desc=f"{name}: sections", unit="section"):
        group = section.name if dataset.group == "section" else section.donor
        seen.add(group)
        _check_names(name, section, donors_of)
        role = dataset.role_of.get(group)
        if role is None:
            tqdm.write(f"{name}: section {section.name} has no role, left out")
            continue
        table = _table(section, rules, raw, account, role)
        (reference if role == "reference" else study)[section.name] = table
    for found, what in ((study, "study"), (reference, "reference")):
        if not found:
            raise DataError(f"{name}: no section of a {what} donor; check data.{name}.roles")
    _require_known(name, dataset, seen)
    account.compare(name)
    tables = name_alike(name, study | reference)
    require_shared(name, tables, rules.shared_genes)
    joined = [
        _join(name, [tables[section] for section in part], dataset) for part in (study, reference)
    ]
    genes = joined[0].var_names.union(joined[1].var_names, sort=True)
    pairs, donors = (_with_genes(table, genes) for table in joined)
    panel = _panel(donors, dataset, rules.panel_share)
    for table in (pairs, donors):
        table.var["panel"] = panel
    _label(pairs, name, dataset, rules)
    for task in set(dataset.tasks) & set(donors.obs):
        donors.obs[task] = as_labels(donors.obs[task]).astype("category")
    for table in (pairs, donors):
        kept = [c for c in table.obs if c in {"donor", "section", *dataset.tasks}]
        table.obs = table.obs[kept]
    return pairs, donors


def _check_names(name: str, section: Section, donors_of: dict[str, str]) -> None:
    """Refuse a section whose name, or donor, cannot be told from one before; then note it."""
    if "/" in section.name or section.name in {"", ".", ".."}:
        raise DataError(f"{name}: a section cannot be called {section.name!r}; rename it")
    if section.name in donors_of:
        raise DataError(f"{name}: section {section.name!r} occurs twice; rename one")
    donors_of[section.name] = section.donor
    check_spellings(list(donors_of), "section", name)
    check_spellings(sorted(set(donors_of.values())), "donor", name)


def _require_known(name: str, dataset: Dataset, seen: set[str]) -> None:
    """Refuse roles of donors that the data do not have, and names that no file could have."""
    for group in sorted(set(dataset.role_of) - seen):
        raise DataError(
            f"data.{name}.roles: no {dataset.group} {group!r} in the data{suggest(group, seen)}"
        )
    for group in sorted(seen):
        if "/" in group or group in {"", "all"}:
            raise DataError(f"{name}: {dataset.group} {group!r} cannot name a file; rename it")


def _table(section: Section, rules: Rules, raw: Path, account: Account, role: str) -> ad.AnnData:
    """Return one section's units that have tissue around them, names made unique over sections."""
    table = section.counts.copy()
    if section.image is not None and section.mpp is not None:
        if section.placed is not None:
            section.placed.require(rules.outside, f"section {section.name}")
        with open_slide(raw / section.image) as slide:
            account.check_resolution(section, rules)
            inside, shown = on_tissue(slide, table.obsm["spatial"], section.mpp, rules)
            account.add(section, role, slide, (inside, shown), rules)
        table = table[shown].copy()
    else:
        account.add_counts(section, role)
    table.uns["cells"] = of_units(section, table.obs_names)
    table.obs["section"], table.obs["donor"] = section.name, section.donor
    table.obs_names = f"{section.name}_" + table.obs_names.astype(str)
    table.uns["mpp"] = {section.name: float(section.mpp or np.nan)}
    table.uns["images"] = {section.name: str(section.image or "")}
    return table


def _join(name: str, tables: list[ad.AnnData], dataset: Dataset) -> ad.AnnData:
    """Stack sections; a gene that a section's table lacks was not seen there."""
    ratios = [table.obsm.pop("cell_type_ratio", None) for table in tables]
    cells = [table.uns.pop("cells") for table in tables]
    joined = ad.concat(tables, join="outer", fill_value=0, merge=None)
    if all(ratio is not None for ratio in ratios):  # a type that a section lacks is not in it
        stacked = pd.concat(
            [ratio.fillna(0).where(ratio.notna().any(axis=1), axis=0) for ratio in ratios]
        )
        rows = stacked.notna().any(axis=1)
        joined.obsm["cell_type_ratio"] = stacked.fillna(0).where(rows, axis=0).astype(np.float32)
    joined.X = sparse.csr_matrix(joined.X, dtype=np.float32)
    for key in ("mpp", "images"):
        joined.uns[key] = {k: v for table in tables for k, v in table.uns[key].items()}
    joined.uns |= {
        "source": name,
        "simulated": dataset.source == "simulator",
        "tasks": {task: spec.kind for task, spec in dataset.tasks.items()},
    }
    if (stacked_cells := stack(tables, cells, joined.var_names)) is not None:
        joined.uns["cells"] = stacked_cells
    for column in ("donor", "section"):
        joined.obs[column] = joined.obs[column].astype("category")
    return joined


def _with_genes(table: ad.AnnData, genes: pd.Index) -> ad.AnnData:
    wide = onto_genes(sparse.csr_matrix(table.X), table.var_names, genes)
    uns = dict(table.uns)
    if (cells := uns.get("cells")) is not None:
        uns["cells"] = cells | {"counts": onto_genes(cells["counts"], table.var_names, genes)}
    return ad.AnnData(
        wide, obs=table.obs, var=pd.DataFrame(index=genes), obsm=dict(table.obsm), uns=uns
    )


def _panel(reference: ad.AnnData, dataset: Dataset, share: float) -> np.ndarray:
    """Mark the genes that no expression expert sees: variable ones, chosen on reference donors."""
    sizes = [task.genes for task in dataset.tasks.values() if task.kind == "gene_panel"]
    if not sizes:
        return np.zeros(reference.n_vars, dtype=bool)
    import scanpy as sc  # noqa: PLC0415 - two seconds that only this branch needs

    seen = np.asarray((reference.X > 0).mean(axis=0)).ravel() >= share
    if seen.sum() < sizes[0]:
        raise DataError(
            f"{reference.uns['source']}: a gene panel of {sizes[0]} was asked for, only "
            f"{int(seen.sum())} genes are in {share:.0%} of the reference units; ask for fewer"
        )
    table = ad.AnnData(log_normalise(reference.X[:, seen]))
    sc.pp.highly_variable_genes(table, n_top_genes=sizes[0], flavor="seurat")
    panel = np.zeros(reference.n_vars, dtype=bool)
    panel[np.flatnonzero(seen)[table.var["highly_variable"].to_numpy()]] = True
    return panel


def _label(pairs: ad.AnnData, name: str, dataset: Dataset, rules: Rules) -> None:
    """Make the task labels categorical, without excluded, empty and rare classes."""
    groups = pairs.obs[dataset.group]
    for task, spec in dataset.tasks.items():
        if spec.kind == "composition" and "cell_type_ratio" not in pairs.obsm:
            raise DataError(f"{name}: task {task!r} needs obsm['cell_type_ratio'] in every section")
        if spec.kind != "classification":
            continue
        if task not in pairs.obs:
            known = ", ".join(map(str, pairs.obs.columns))
            raise DataError(f"{name}: no obs column {task!r} for the task; columns: {known}")
        what = f"{name}: task {task!r}"
        pairs.obs[task] = classes(pairs.obs[task], groups, spec, rules, what)
