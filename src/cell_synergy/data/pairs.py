"""The paired units of a data set: one AnnData, one row per patch, spot or cell.

`X` raw counts (CSR); `obs`: `donor`, `section` and one column per task label; `var["panel"]` marks
genes held out from the expression expert; `obsm["spatial"]` micrometres in the image's frame;
`obsm["cell_type_ratio"]` where composition is known; `uns`: `source`, `simulated`, `tasks` (name to
kind), `mpp` and `images` (per section), and for simulated tissue `visible`;
`obsm["latent"]` its true states.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float, Float32
from scipy import sparse
from tqdm import tqdm

from cell_synergy.data import files
from cell_synergy.data.dataset import Classification, Dataset, Task
from cell_synergy.data.images import Tissue, on_tissue, read_image
from cell_synergy.data.readers import DataError, Section

LEAST_UNITS, LEAST_GROUPS = 10, 2  # a class has 10 units in each of 2 donors, or is dropped


def build(
    name: str, sections: Iterable[Section], dataset: Dataset, tissue: Tissue, raw: Path
) -> tuple[ad.AnnData, ad.AnnData]:
    """Join the sections of a data set into study pairs and reference units.

    Units without the image around them, or off tissue, are dropped and counted in the log, as are
    donors that `roles` does not name.

    Returns
    -------
    The pairs that the study scores, and the units of reference donors (with or without image).
    """
    study: list[ad.AnnData] = []
    reference: list[ad.AnnData] = []
    for section in tqdm(sections, desc=f"{name}: sections", unit="section"):
        role = dataset.roles.get(section.name if dataset.group == "section" else section.donor)
        if role is None:
            tqdm.write(f"{name}: section {section.name} has no role, left out")
            continue
        (reference if role == "reference" else study).append(_table(section, tissue, raw))
    for found, what in ((study, "study"), (reference, "reference")):
        if not found:
            raise DataError(f"{name}: no section of a {what} donor; check data.{name}.roles")
    joined = [_join(name, tables, dataset) for tables in (study, reference)]
    genes = joined[0].var_names.union(joined[1].var_names, sort=True)
    pairs, donors = (_with_genes(table, genes) for table in joined)
    panel = _panel(donors, dataset)
    for table in (pairs, donors):
        table.var["panel"] = panel
    _label(pairs, name, dataset)
    for task in set(dataset.tasks) & set(donors.obs):
        donors.obs[task] = donors.obs[task].astype("category")
    return pairs, donors


def _table(section: Section, tissue: Tissue, raw: Path) -> ad.AnnData:
    """Return one section's units that have tissue around them, names made unique over sections."""
    table = section.counts.copy()
    if section.image is not None and section.mpp is not None:
        inside, shown = on_tissue(
            read_image(raw / section.image), table.obsm["spatial"], section.mpp, tissue
        )
        if (lost := len(table) - int(shown.sum())) > 0:
            tqdm.write(
                f"section {section.name}: {lost} of {len(table)} units dropped "
                f"({int((~inside).sum())} too near the border, the rest off tissue)"
            )
        table = table[shown].copy()
    table.obs["section"], table.obs["donor"] = section.name, section.donor
    table.obs_names = f"{section.name}_" + table.obs_names.astype(str)
    table.uns["mpp"] = {section.name: float(section.mpp or np.nan)}
    table.uns["images"] = {section.name: str(section.image or "")}
    return table


def _join(name: str, tables: list[ad.AnnData], dataset: Dataset) -> ad.AnnData:
    """Stack sections; a gene that a section's table lacks was not seen there."""
    joined = ad.concat(tables, join="outer", fill_value=0, merge=None)
    joined.X = sparse.csr_matrix(joined.X, dtype=np.float32)
    for key in ("mpp", "images"):
        joined.uns[key] = {k: v for table in tables for k, v in table.uns[key].items()}
    joined.uns |= {
        "source": name,
        "simulated": dataset.source == "simulator",
        "tasks": {task: spec.kind for task, spec in dataset.tasks.items()},
    }
    if "visible" in tables[0].uns:
        joined.uns["visible"] = tables[0].uns["visible"]
    for column in ("donor", "section"):
        joined.obs[column] = joined.obs[column].astype("category")
    return joined


def _with_genes(table: ad.AnnData, genes: pd.Index) -> ad.AnnData:
    place = pd.Series(np.arange(len(genes)), index=genes)[table.var_names].to_numpy()
    counts = sparse.csr_matrix(table.X)
    wide = sparse.csr_matrix(
        (counts.data, place[counts.indices], counts.indptr), shape=(table.n_obs, len(genes))
    )
    wide.sort_indices()
    return ad.AnnData(
        wide, obs=table.obs, var=pd.DataFrame(index=genes), obsm=dict(table.obsm), uns=table.uns
    )


def _panel(reference: ad.AnnData, dataset: Dataset) -> np.ndarray:
    """Mark the genes that no expression expert sees: variable ones, chosen on reference donors."""
    sizes = [task.genes for task in dataset.tasks.values() if task.kind == "gene_panel"]
    if not sizes:
        return np.zeros(reference.n_vars, dtype=bool)
    import scanpy as sc  # noqa: PLC0415 - two seconds that only this branch needs

    seen = np.asarray((reference.X > 0).mean(axis=0)).ravel() >= 0.1  # noqa: PLR2004
    if seen.sum() < sizes[0]:
        raise DataError(
            f"{reference.uns['source']}: a gene panel of {sizes[0]} was asked for, only "
            f"{int(seen.sum())} genes are in 10 % of the reference units; ask for fewer"
        )
    table = ad.AnnData(log_normalise(reference.X[:, seen]))
    sc.pp.highly_variable_genes(table, n_top_genes=sizes[0], flavor="seurat")
    panel = np.zeros(reference.n_vars, dtype=bool)
    panel[np.flatnonzero(seen)[table.var["highly_variable"].to_numpy()]] = True
    return panel


def log_normalise(counts: sparse.csr_matrix, total: float = 1e4) -> sparse.csr_matrix:
    """Return log(1 + counts x total / the unit's sum); an empty unit stays zero."""
    sums = np.asarray(counts.sum(axis=1)).ravel()
    scale = np.divide(total, sums, out=np.zeros_like(sums, dtype=np.float64), where=sums > 0)
    scaled = sparse.csr_matrix(sparse.diags(scale) @ counts)
    scaled.data = np.log1p(scaled.data)
    return scaled.astype(np.float32)


def _label(pairs: ad.AnnData, name: str, dataset: Dataset) -> None:
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
        pairs.obs[task] = _classes(pairs.obs[task], groups, spec, f"{name}: task {task!r}")


def _classes(labels: pd.Series, groups: pd.Series, spec: Classification, what: str) -> pd.Series:
    labels = labels.astype(object).where(labels.notna() & (labels.astype(str) != ""))
    labels = labels.where(~labels.isin(spec.exclude))
    counts = pd.crosstab(groups, labels)
    kept = counts.columns[(counts >= LEAST_UNITS).sum() >= LEAST_GROUPS]
    if rare := sorted(set(counts.columns) - set(kept)):
        tqdm.write(f"{what}: dropped {rare} (under {LEAST_UNITS} units in {LEAST_GROUPS} donors)")
    if len(kept) < LEAST_GROUPS:
        raise DataError(
            f"{what}: {len(kept)} class(es) with {LEAST_UNITS} units in {LEAST_GROUPS} donors, a "
            "classification needs two; check the label column, `exclude`, or drop the task"
        )
    return pd.Series(pd.Categorical(labels, categories=sorted(kept)), index=labels.index)


def target(pairs: ad.AnnData, task: str, spec: Task) -> Float[np.ndarray, "units outputs"]:
    """Return what a regression task predicts: composition, or log-normalised panel genes."""
    if spec.kind == "composition":
        ratio: pd.DataFrame = pairs.obsm["cell_type_ratio"]
        return ratio.drop(columns=[c for c in spec.exclude if c in ratio]).to_numpy(np.float64)
    if not (panel := pairs.var["panel"].to_numpy(bool)).any():
        raise DataError(f"{pairs.uns['source']}: task {task!r} but no gene is marked as panel")
    return np.asarray(log_normalise(pairs.X)[:, panel].todense(), dtype=np.float64)


def visible_counts(pairs: ad.AnnData) -> Float32[sparse.csr_matrix, "units genes"]:
    """Return the counts that an expression expert may see: all genes but the panel."""
    return sparse.csr_matrix(pairs.X)[:, ~pairs.var["panel"].to_numpy(bool)]


def write(path: Path, pairs: ad.AnnData) -> None:
    """Check the pairs and write them."""
    check(pairs, path.name)
    files.write(path, pairs)


def read(path: Path) -> ad.AnnData:
    """Read pairs and check them."""
    if not path.is_file():
        raise DataError(f"{path}: no such pairs; run `dvc repro pairs` or `dvc pull` first")
    pairs = ad.read_h5ad(path)
    check(pairs, str(path))
    return pairs


def check(pairs: ad.AnnData, where: str) -> None:
    """Refuse pairs that break the contract at the top of this file."""
    names = pairs.obs_names
    if not names.is_unique:
        raise DataError(f"{where}: unit {names[names.duplicated()][0]!r} occurs twice; rename it")
    for column in ("donor", "section"):
        if column not in pairs.obs or pairs.obs[column].isna().any():
            raise DataError(f"{where}: obs[{column!r}] is missing or empty for some units")
    if not np.isfinite(pairs.obsm["spatial"]).all():
        raise DataError(f"{where}: obsm['spatial'] has coordinates that are not finite")
    values = sparse.csr_matrix(pairs.X).data
    if not np.isfinite(values).all() or (values < 0).any():
        raise DataError(f"{where}: counts are NaN, infinite or negative; store raw counts in X")
    tasks: Mapping[str, str] = pairs.uns["tasks"]
    for task, kind in tasks.items():
        labelled = kind == "classification" and task in pairs.obs
        if labelled and not isinstance(pairs.obs[task].dtype, pd.CategoricalDtype):
            raise DataError(f"{where}: obs[{task!r}] is not categorical; convert it")
