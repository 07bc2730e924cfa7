"""Join the sections of a data set into its pairs (see `cell_synergy.data.paired`)."""

from collections.abc import Iterable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import as_labels
from cell_synergy.data.blocks import split_reference
from cell_synergy.data.classes import ClassRule, as_classes
from cell_synergy.data.composition import concatenate_shares
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.paired import log_normalise
from cell_synergy.raw.checks.donor_roles import name_problems, split_problems
from cell_synergy.raw.checks.joined_pairs import NO_REQUIREMENTS, StageRequirements, check_pairs
from cell_synergy.raw.checks.problems import Problems
from cell_synergy.raw.images import on_tissue, open_slide
from cell_synergy.raw.sections.cell_counts import cells_of, reindex_genes, stack_cells
from cell_synergy.raw.sections.gene_names import require_shared, unify_gene_names
from cell_synergy.raw.sections.qc import QCConfig, SectionQC, Share
from cell_synergy.raw.sections.section import Section


class PairsConfig(QCConfig, ClassRule):
    """Configuration of the block `pairs`: which observations, classes and genes are used.

    Attributes
    ----------
    panel_share
        Share of the reference observations in which a gene must be detected to be a candidate for
        the gene panel.
    outside
        A section is refused if more than this share of its spots lies outside its image.
    shared_genes
        Any two sections must share at least this fraction of the genes of the larger one.
    """

    panel_share: Share
    outside: Share
    shared_genes: Share


def build(
    name: str,
    sections: Iterable[Section],
    dataset: DatasetConfig,
    config: PairsConfig,
    raw: Path,
    section_qc: SectionQC | None = None,
    requirements: StageRequirements = NO_REQUIREMENTS,
) -> tuple[ad.AnnData, ad.AnnData]:
    """Join the sections of a data set into study pairs and reference observations.

    Observations whose field of view leaves the image or shows too little tissue are dropped and
    counted in `section_qc`; sections without a role are left out. Both are logged.

    Parameters
    ----------
    name
        The data set's name.
    sections
        The sections as a reader yields them, reference donors included.
    dataset
        Configuration of the data set.
    config
        Thresholds that decide which observations, classes and genes are used.
    raw
        The raw folder; paths of images are relative to it.
    section_qc, requirements
        Table that gets a row for each section with a role, and what later stages require of the
        pairs.

    Returns
    -------
    The pairs of the study, for training and test, and the reference observations (with or without
    an image), with equal genes. Both have the tasks' labels in `obs` and `obsm`; tasks do not
    decide which observations are kept.

    Raises
    ------
    DataError
        At once if a section cannot be read, its image has a resolution that is too low, or too many
        of its observations are outside the image or off tissue; otherwise after all sections, with
        every contradiction between params.yaml and the data.
    """
    section_qc = SectionQC() if section_qc is None else section_qc
    problems = Problems(name)
    study, reference = _read_sections(name, sections, dataset, config, raw, section_qc, problems)
    if not (study and reference):
        if study:
            pairs = _join(name, list(study.values()), dataset)
            _set_labels(pairs, name, dataset, config, problems)
        problems.raise_if_any()
    pairs, donors = _join_parts(name, study, reference, dataset, config, problems)
    _set_labels(pairs, name, dataset, config, problems)
    check_pairs(problems, pairs, donors, dataset, requirements)
    for task in set(dataset.tasks) & set(donors.obs):
        donors.obs[task] = as_labels(donors.obs[task]).astype("category")
    for adata in (pairs, donors):
        columns = [c for c in adata.obs if c in {"donor", "section", "block", *dataset.tasks}]
        adata.obs = adata.obs[columns]
    return pairs, donors


def _join_parts(
    name: str,
    study: dict[str, ad.AnnData],
    reference: dict[str, ad.AnnData],
    dataset: DatasetConfig,
    config: PairsConfig,
    problems: Problems,
) -> tuple[ad.AnnData, ad.AnnData]:
    """Join the sections of the study, and those of reference donors, with equal genes in both."""
    by_section = study | reference
    with problems.collect():
        by_section = unify_gene_names(name, by_section)
        require_shared(name, by_section, config.shared_genes)
    joined = [
        _join(name, [by_section[key] for key in part], dataset) for part in (study, reference)
    ]
    genes = joined[0].var_names.union(joined[1].var_names, sort=True)
    pairs, donors = (_with_genes(adata, genes) for adata in joined)
    panel = np.zeros(len(genes), dtype=bool)
    with problems.collect():
        panel = _gene_panel(donors, dataset, config.panel_share)
    for adata in (pairs, donors):
        adata.var["panel"] = panel
    return pairs, donors


def _read_sections(
    name: str,
    sections: Iterable[Section],
    dataset: DatasetConfig,
    config: PairsConfig,
    raw: Path,
    section_qc: SectionQC,
    problems: Problems,
) -> tuple[dict[str, ad.AnnData], dict[str, ad.AnnData]]:
    """Return the scored and the reference observations, each by section (or block of a section)."""
    study: dict[str, ad.AnnData] = {}
    reference: dict[str, ad.AnnData] = {}
    present: list[tuple[str, str]] = []
    scored_sections: list[str] = []
    for section in tqdm(sections, desc=f"{name}: sections", unit="section"):
        present.append((section.name, section.donor))
        role = dataset.role_of.get(section.name if dataset.grouping == "section" else section.donor)
        if role is None:
            tqdm.write(f"{name}: section {section.name} has no role, left out")
            continue
        adata = _select_observations(section, config, raw, section_qc, role)
        if role == "reference":
            reference[section.name] = _annotate(section, adata)
            continue
        scored_sections.append(section.name)
        scored, first_block = split_reference(adata, section.name, dataset)
        if scored.n_obs:
            study[section.name] = _annotate(section, scored)
        if first_block.n_obs:
            reference[f"{section.name}, first block"] = _annotate(section, first_block)
    section_qc.warn_resolution_differences(name)
    problems.add(name_problems(name, dataset, present))
    problems.add(
        split_problems(name, dataset, [*study.values()], [*reference.values()], scored_sections)
    )
    return study, reference


def _select_observations(
    section: Section, config: PairsConfig, raw: Path, section_qc: SectionQC, role: str
) -> ad.AnnData:
    """Return the observations of a section that have tissue around them.

    A column `block` of a user's file is dropped, because `obs["block"]` names the spatial block
    that an observation belongs to.
    """
    adata = section.adata.copy()
    adata.obs = adata.obs.drop(columns="block", errors="ignore")
    if section.image is not None and section.mpp is not None:
        if section.coverage is not None:
            section.coverage.require(config.outside, f"section {section.name}")
        with open_slide(raw / section.image) as slide:
            section_qc.check_resolution(section, config)
            inside, tissue = on_tissue(slide, adata.obsm["spatial"], section.mpp, config)
            section_qc.add(section, role, slide, (inside, tissue), config)
        adata = adata[tissue].copy()
    else:
        section_qc.add_counts(section, role)
    return adata


def _annotate(section: Section, adata: ad.AnnData) -> ad.AnnData:
    """Set unique names, cells, section, donor, resolution and image of a section, in place."""
    adata.uns["cells"] = cells_of(section, adata.obs_names)
    adata.obs["section"], adata.obs["donor"] = section.name, section.donor
    adata.obs_names = f"{section.name}_" + adata.obs_names.astype(str)
    adata.uns["mpp"] = {section.name: float(section.mpp or np.nan)}
    adata.uns["images"] = {section.name: str(section.image or "")}
    return adata


def _join(name: str, sections: list[ad.AnnData], dataset: DatasetConfig) -> ad.AnnData:
    """Concatenate sections; a gene that a section does not measure counts as zero there."""
    ratios = [adata.obsm.pop("cell_type_ratio", None) for adata in sections]
    cells = [adata.uns.pop("cells") for adata in sections]
    joined = ad.concat(sections, join="outer", fill_value=0, merge=None)
    if all(ratio is not None for ratio in ratios):
        names = [next(iter(adata.uns["mpp"])) for adata in sections]
        shares = concatenate_shares(name, dict(zip(names, ratios, strict=True)))
        joined.obsm["cell_type_ratio"] = shares
    joined.X = sparse.csr_matrix(joined.X, dtype=np.float32)
    for key in ("mpp", "images"):
        joined.uns[key] = {k: v for adata in sections for k, v in adata.uns[key].items()}
    joined.uns |= {
        "source": name,
        "simulated": dataset.simulator is not None,
    }
    if (stacked_cells := stack_cells(sections, cells, joined.var_names)) is not None:
        joined.uns["cells"] = stacked_cells
    for column in {"donor", "section", "block"} & set(joined.obs):
        joined.obs[column] = joined.obs[column].astype("category")
    return joined


def _with_genes(adata: ad.AnnData, genes: pd.Index) -> ad.AnnData:
    """Return the observations, and their cells, with one column per gene of `genes`."""
    counts = reindex_genes(sparse.csr_matrix(adata.X), adata.var_names, genes)
    uns = dict(adata.uns)
    if (cells := uns.get("cells")) is not None:
        uns["cells"] = cells | {"counts": reindex_genes(cells["counts"], adata.var_names, genes)}
    return ad.AnnData(
        counts, obs=adata.obs, var=pd.DataFrame(index=genes), obsm=dict(adata.obsm), uns=uns
    )


def _gene_panel(reference: ad.AnnData, dataset: DatasetConfig, share: float) -> np.ndarray:
    """Return a mask of the gene panel, whose counts a task predicts and no expression expert sees.

    The panel has the highly variable genes of the reference donors; it is empty without such a
    task.
    """
    sizes = [task.genes for task in dataset.tasks.values() if task.kind == "gene_panel"]
    if not sizes:
        return np.zeros(reference.n_vars, dtype=bool)
    import scanpy as sc  # noqa: PLC0415 - two seconds that only this branch needs

    detected = np.asarray((reference.X > 0).mean(axis=0)).ravel() >= share
    if detected.sum() < sizes[0]:
        raise DataError(
            f"{reference.uns['source']}: the gene panel has {sizes[0]} genes, but only "
            f"{int(detected.sum())} genes are detected in {share:.0%} of the reference "
            "observations; lower `genes` of the task"
        )
    adata = ad.AnnData(log_normalise(reference.X[:, detected]))
    sc.pp.highly_variable_genes(adata, n_top_genes=sizes[0], flavor="seurat")
    panel = np.zeros(reference.n_vars, dtype=bool)
    panel[np.flatnonzero(detected)[adata.var["highly_variable"].to_numpy()]] = True
    return panel


def _set_labels(
    pairs: ad.AnnData, name: str, dataset: DatasetConfig, config: PairsConfig, problems: Problems
) -> None:
    """Make the label column of every task categorical, without excluded, empty and rare classes."""
    for task in dataset.tasks:
        with problems.collect():
            _set_task_labels(pairs, name, task, dataset, config)


def _set_task_labels(
    pairs: ad.AnnData, name: str, task: str, dataset: DatasetConfig, config: PairsConfig
) -> None:
    groups, spec = pairs.obs[dataset.group], dataset.tasks[task]
    if spec.kind == "composition" and "cell_type_ratio" not in pairs.obsm:
        raise DataError(f"{name}: task {task!r} needs obsm['cell_type_ratio'] in every section")
    if spec.kind != "classification":
        return
    if task not in pairs.obs:
        columns = ", ".join(map(str, pairs.obs.columns))
        raise DataError(f"{name}: no obs column {task!r} for the task; columns: {columns}")
    where = f"{name}: task {task!r}"
    # If `as_classes` refuses the labels, later checks must not find a categorical column.
    pairs.obs[task] = pairs.obs[task].astype(object)
    pairs.obs[task] = as_classes(pairs.obs[task], groups, spec, config, where)
