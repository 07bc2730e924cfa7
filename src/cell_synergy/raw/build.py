"""Sections joined into the pairs of a data set (see `cell_synergy.data.paired`)."""

from collections.abc import Iterable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import as_labels
from cell_synergy.data.blocks import parts
from cell_synergy.data.classes import ClassRule, classes
from cell_synergy.data.composition import joined_shares
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.paired import log_normalise
from cell_synergy.raw.checks.donor_roles import of_donors, of_names
from cell_synergy.raw.checks.joined_pairs import NOTHING, Needs, finish
from cell_synergy.raw.checks.problems import Told
from cell_synergy.raw.images import on_tissue, open_slide
from cell_synergy.raw.sections.cell_counts import of_units, onto_genes, stack
from cell_synergy.raw.sections.gene_names import name_alike, require_shared
from cell_synergy.raw.sections.qc import Account, Limits, Share
from cell_synergy.raw.sections.section import Section


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
    dataset: DatasetConfig,
    rules: Rules,
    raw: Path,
    account: Account | None = None,
    needs: Needs = NOTHING,
) -> tuple[ad.AnnData, ad.AnnData]:
    """Join the sections of a data set into study pairs and reference units.

    Units without the image around them, or off tissue, are dropped and counted, in the log and in
    `account`, which is filled; so are, in the log, donors that `roles` does not name. `needs` is
    what later stages need of the pairs.

    Returns
    -------
    The pairs that the study scores, and the units of reference donors (with or without image).
    """
    account = Account() if account is None else account
    told = Told(name)
    study, reference = _read(name, sections, dataset, rules, raw, account, told)
    if not (study and reference):
        if study:
            _label(_join(name, list(study.values()), dataset), name, dataset, rules, told)
        told.refuse()
    tables = study | reference
    with told.caught():
        tables = name_alike(name, tables)
        require_shared(name, tables, rules.shared_genes)
    joined = [_join(name, [tables[key] for key in part], dataset) for part in (study, reference)]
    genes = joined[0].var_names.union(joined[1].var_names, sort=True)
    pairs, donors = (_with_genes(table, genes) for table in joined)
    panel = np.zeros(len(genes), dtype=bool)
    with told.caught():
        panel = _panel(donors, dataset, rules.panel_share)
    for table in (pairs, donors):
        table.var["panel"] = panel
    _label(pairs, name, dataset, rules, told)
    finish(told, pairs, donors, dataset, needs)
    for task in set(dataset.tasks) & set(donors.obs):
        donors.obs[task] = as_labels(donors.obs[task]).astype("category")
    for table in (pairs, donors):
        kept = [c for c in table.obs if c in {"donor", "section", "block", *dataset.tasks}]
        table.obs = table.obs[kept]
    return pairs, donors


def _read(
    name: str,
    sections: Iterable[Section],
    dataset: DatasetConfig,
    rules: Rules,
    raw: Path,
    account: Account,
    told: Told,
) -> tuple[dict[str, ad.AnnData], dict[str, ad.AnnData]]:
    """Return the units that are scored, and the reference, by section (or block of one)."""
    study: dict[str, ad.AnnData] = {}
    reference: dict[str, ad.AnnData] = {}
    seen: list[tuple[str, str]] = []
    scored: list[str] = []
    for section in tqdm(sections, desc=f"{name}: sections", unit="section"):
        seen.append((section.name, section.donor))
        role = dataset.role_of.get(section.name if dataset.named == "section" else section.donor)
        if role is None:
            tqdm.write(f"{name}: section {section.name} has no role, left out")
            continue
        table = _table(section, rules, raw, account, role)
        if role == "reference":
            reference[section.name] = _named(section, table)
            continue
        scored.append(section.name)
        kept, first = parts(table, section.name, dataset)
        if kept.n_obs:
            study[section.name] = _named(section, kept)
        if first.n_obs:
            reference[f"{section.name}, first block"] = _named(section, first)
    account.compare(name)
    told.add(of_names(name, dataset, seen))
    told.add(of_donors(name, dataset, [*study.values()], [*reference.values()], scored))
    return study, reference


def _table(section: Section, rules: Rules, raw: Path, account: Account, role: str) -> ad.AnnData:
    """Return one section's units that have tissue around them.

    A column `block` of a user's own goes: this name says which block of a cut section a unit is in.
    """
    table = section.counts.copy()
    table.obs = table.obs.drop(columns="block", errors="ignore")
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
    return table


def _named(section: Section, table: ad.AnnData) -> ad.AnnData:
    """Give some units of a section names that are unique over sections, their cells and origin."""
    table.uns["cells"] = of_units(section, table.obs_names)
    table.obs["section"], table.obs["donor"] = section.name, section.donor
    table.obs_names = f"{section.name}_" + table.obs_names.astype(str)
    table.uns["mpp"] = {section.name: float(section.mpp or np.nan)}
    table.uns["images"] = {section.name: str(section.image or "")}
    return table


def _join(name: str, tables: list[ad.AnnData], dataset: DatasetConfig) -> ad.AnnData:
    """Stack sections; a gene that a section's table lacks was not seen there."""
    ratios = [table.obsm.pop("cell_type_ratio", None) for table in tables]
    cells = [table.uns.pop("cells") for table in tables]
    joined = ad.concat(tables, join="outer", fill_value=0, merge=None)
    if all(ratio is not None for ratio in ratios):
        names = [next(iter(table.uns["mpp"])) for table in tables]
        shares = joined_shares(name, dict(zip(names, ratios, strict=True)))
        joined.obsm["cell_type_ratio"] = shares
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
    for column in {"donor", "section", "block"} & set(joined.obs):
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


def _panel(reference: ad.AnnData, dataset: DatasetConfig, share: float) -> np.ndarray:
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


def _label(pairs: ad.AnnData, name: str, dataset: DatasetConfig, rules: Rules, told: Told) -> None:
    """Make the task labels categorical, without excluded, empty and rare classes."""
    for task in dataset.tasks:
        with told.caught():
            _label_one(pairs, name, task, dataset, rules)


def _label_one(
    pairs: ad.AnnData, name: str, task: str, dataset: DatasetConfig, rules: Rules
) -> None:
    groups, spec = pairs.obs[dataset.group], dataset.tasks[task]
    if spec.kind == "composition" and "cell_type_ratio" not in pairs.obsm:
        raise DataError(f"{name}: task {task!r} needs obsm['cell_type_ratio'] in every section")
    if spec.kind != "classification":
        return
    if task not in pairs.obs:
        known = ", ".join(map(str, pairs.obs.columns))
        raise DataError(f"{name}: no obs column {task!r} for the task; columns: {known}")
    what = f"{name}: task {task!r}"
    pairs.obs[task] = pairs.obs[task].astype(object)  # no classes yet, should they be refused
    pairs.obs[task] = classes(pairs.obs[task], groups, spec, rules, what)
