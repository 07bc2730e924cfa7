"""Bits of both tables on eight real donors whose label shares differ: they have to agree.

CELL_SYNERGY_MIRROR=FOLDER python -m benchmarks.real_bits out=benchmarks/real_bits.csv

FOLDER/her2st has the files of github.com/almaan/her2st (Andersson et al. 2021) in its layout:
counts, and the pathologist's labels of one section of each of eight donors. Most of these sections
have no image to be had, so the two sides are two embeddings of expression: of the spot itself, and
the mean over its neighbours on the array. The embedding is the PCA expert of params.yaml, fitted on
another section of each donor but A, who has one; those have no labels. Each donor is held out in
turn, with features standardised by the training donors and within each donor.

The functions are those of `cell_synergy.downstream.run_benchmarks units=`. The bits of the score
table are shown for every probe, and for the probe that is best on the inner folds of each fold,
whose posteriors the information table decomposes. The table has the label shares of each donor too.
Takes about two minutes on one core.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32
from scipy.spatial import cKDTree

from cell_synergy.core.config import Config, arguments, load
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import ConfigError, report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.data.classes import ClassRule
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.downstream.evaluate import Evaluation, evaluate
from cell_synergy.downstream.information.decompose import InformationConfig
from cell_synergy.downstream.information.held_out import PAIR
from cell_synergy.downstream.information.task_information import information
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.user_table import (
    CLASSES,
    UserTableConfig,
    paired_dataset,
    representations,
)
from cell_synergy.encoders.pca import Expert
from cell_synergy.raw.build import PairsConfig
from cell_synergy.raw.spot_tables import array_positions, grid_names, read_counts, read_table

LABELLED = ("A1", "B1", "C1", "D1", "E1", "F1", "G2", "H1")  # the first letter is the donor
OTHERS = ("B4", "C2", "D2", "E2", "F2", "G1", "H2")
NOT_CLASSES = ("undetermined", "")
NEIGHBOURS = 1.5  # largest distance of a neighbour, in steps of the array: eight at most
# Names in the results, and quantities of the information table, of the command's representations.
NAMES = {"image": "own", "expression": "neighbours", "concat": "both"}
BITS = {"image": "I_image", "expression": "I_expression", "concat": "I"}
PARTS = {"H": "H", "R": "R", "U own": "U_image", "U neighbours": "U_expression", "S": "S"}
COLUMNS = ["table", "standardise", "representation", "probe", "donor", "region", "value"]
MIRROR = "CELL_SYNERGY_MIRROR"  # the variable that the stage `download` reads too


class Args(Config):
    """Output."""

    out: Path


def section(folder: Path, name: str) -> ad.AnnData:
    """Read the counts of a section, array coordinates, and labels of the pathologist if any."""
    source = folder / "data" / "ST-cnts" / f"{name}.tsv.gz"
    adata = read_counts(source)
    adata.obs_names = array_positions(adata.obs_names, "x", source)
    adata.obs["region"] = None
    adata.obsm["spatial"] = np.array([spot.split("x") for spot in adata.obs_names], dtype=float)
    if name in LABELLED:
        path = folder / "data" / "ST-pat" / "lbl" / f"{name}_labeled_coordinates.tsv"
        table = read_table(path).dropna(subset=["x", "y"])
        labels = table["label"].fillna("").astype(str).str.strip().str.lower()
        labels.index = grid_names(table[["x", "y"]].to_numpy(np.float64), path)
        adata.obs["region"] = labels.mask(labels.isin(NOT_CLASSES)).reindex(adata.obs_names)
    adata.obs["donor"] = name[0]
    adata.obs_names = f"{name}_" + adata.obs_names
    return adata


def embedded(folder: Path) -> ad.AnnData:
    """Return the labelled sections' spots that have neighbours, with both embeddings."""
    sections = {name: section(folder, name) for name in (*LABELLED, *OTHERS)}
    merged = ad.concat(sections, join="inner", label="section")  # genes that all sections have
    merged.var["panel"] = False
    merged.uns["source"] = "her2st"
    labelled = merged.obs["section"].isin(LABELLED).to_numpy()
    expert = load(Expert, "encoders.pca")
    with TemporaryDirectory() as frozen:
        expert.freeze(merged[~labelled], Path(frozen))
        own = expert.embed(merged, folder, Path(frozen))
    table = ad.AnnData(np.zeros((len(own), 1), dtype=np.float32), obs=merged.obs)
    table.obsm["spatial"] = merged.obsm["spatial"]
    table.obsm["own"] = own
    table = table[labelled].copy()
    table.obsm["neighbours"] = neighbour_means(table)
    return table[np.isfinite(table.obsm["neighbours"]).all(axis=1)].copy()


def neighbour_means(table: ad.AnnData) -> Float32[np.ndarray, "obs d"]:
    """Return the mean embedding of each spot's neighbours, NaN for a spot without any."""
    own = np.asarray(table.obsm["own"])
    means = np.full_like(own, np.nan)
    for name in LABELLED:
        rows = np.flatnonzero(table.obs["section"] == name)
        tree = cKDTree(table.obsm["spatial"][rows])
        for row, near in zip(rows, tree.query_ball_tree(tree, NEIGHBOURS), strict=True):
            others = rows[near][rows[near] != row]
            if len(others):
                means[row] = own[others].mean(axis=0)
    return means


def compared(
    paired: PairedDataset, evaluations: dict[str, Evaluation], bits: pd.DataFrame
) -> Iterator[dict[str, object]]:
    """Yield the bits of both tables, and the label shares of each donor."""
    for name, evaluation in evaluations.items():
        scores = evaluation.scores.query("metric == 'bits' and task == 'region'")
        by_probe = scores.pivot_table(index="donor", columns="probe", values="value")
        key = {"table": "scores", "representation": NAMES[name]}
        for probe, values in by_probe.items():
            yield key | {"probe": probe, "value": values.mean()}
        chosen = {d: str(evaluation.posteriors[f"region/{d}/probe"]) for d in by_probe.index}
        best = [by_probe.loc[donor, probe] for donor, probe in chosen.items()]
        row = bits[bits["method"].isin([PAIR, name]) & (bits["quantity"] == BITS[name])].iloc[0]
        key["probe"] = row["probe"]
        yield key | {"table": "scores of chosen probes", "value": np.mean(best)}
        yield key | {"table": "information", "value": row["bits"]}
    for part, quantity in PARTS.items():
        row = bits[(bits["method"] == PAIR) & (bits["quantity"] == quantity)].iloc[0]
        yield {"table": "information", "representation": part, "value": row["bits"]}
    labels = paired.adata.obs.groupby("donor", observed=True)["region"]
    for (donor, region), share in labels.value_counts(normalize=True).items():
        yield {"table": "label shares", "donor": donor, "region": region, "value": share}


def run(table: ad.AnnData, mode: Literal["train", "donor"]) -> pd.DataFrame:
    """Score and decompose with one standardisation."""
    config = UserTableConfig(
        units=Path("her2st.h5ad"), image="own", expression="neighbours", label=("region",),
        donor="donor", standardise=mode,
    )  # fmt: skip
    rule: ClassRule = load(PairsConfig, "pairs")
    paired = paired_dataset(config, table, rule)
    probe, cells = load(ProbeConfig, "probe"), load(InformationConfig, "information").cells
    tasks = {"region": CLASSES}
    evaluations = {
        name: evaluate(name, paired, tasks, [0], represent, probe)
        for name, represent in representations(config, table, paired).items()
    }
    posteriors = {name: evaluation.posteriors for name, evaluation in evaluations.items()}
    bits = information(paired.adata, paired.groups, paired.folds, tasks, posteriors, cells)
    rows = pd.DataFrame(compared(paired, evaluations, bits), columns=COLUMNS)
    rows["standardise"] = rows["standardise"].where(rows["table"] == "label shares", mode)
    return rows


def main(args: Args) -> None:
    """Read, embed, score, print, write."""
    use_threads(1)
    mirror = os.environ.get(MIRROR)
    if not mirror:
        raise ConfigError(f"set {MIRROR} to a folder with the files of her2st, in her2st/")
    table = embedded(Path(mirror, "her2st"))
    modes: list[Literal["train", "donor"]] = ["train", "donor"]
    rows = pd.concat([run(table, mode) for mode in modes]).drop_duplicates(ignore_index=True)
    print(rows.dropna(axis=1, how="all").to_string(index=False, float_format="%.3f"))
    with atomic_write(args.out) as new:
        rows.to_csv(new, index=False, float_format="%.4f")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
