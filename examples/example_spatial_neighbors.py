"""Spatial neighbours: what an embedding predicts about the tissue around an observation.

python examples/example_spatial_neighbors.py [DATASET] [METHOD ...]

Predicts majority label (macro F1) and composition (R2) of each observation's neighbours, in bands
of distance, from the observation's own embedding, on held-out donors.
"""

import sys
from collections.abc import Sequence

import pandas as pd
from example_evaluate_f1_r2 import read, weights_folder

from cell_synergy import models
from cell_synergy.core.config import load, load_keys, read_section
from cell_synergy.core.errors import positional_arguments, report_errors
from cell_synergy.core.names import LINEAR
from cell_synergy.data.inputs import InputConfig
from cell_synergy.downstream.method_scores import TrainedMethod
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.spatial.config import SpatialConfig
from cell_synergy.downstream.spatial.scores import SpatialTasks, evaluate
from cell_synergy.scoring.tables import PAPER_METRICS


def spatial_scores(dataset: str, methods: Sequence[str], probes: Sequence[str]) -> pd.DataFrame:
    """Return the spatial scores of some methods with the study's weights, first seed.

    `probes` predict the neighbours; close pairs are always classified by linear probes.
    """
    paired, spec = read(dataset)
    probe, spatial = load(ProbeConfig, "probe"), load(SpatialConfig, "spatial")
    axes = load_keys(InputConfig, "align").axes
    spatial_tasks = SpatialTasks.of(paired, spec.tasks, spatial)
    scores = []
    for name in methods:
        method = models.load(name, read_section(f"models.{name}"))
        trained = TrainedMethod(method, weights_folder(dataset, name), paired, axes)
        seeds = trained.seeds()[:1]
        scores.append(evaluate(name, paired, spatial_tasks, seeds, trained.embed, probe, probes))
    return pd.concat(scores, ignore_index=True)


def main(dataset: str = "lung", *methods: str) -> None:
    """Print the scores, from the nearest band to the farthest."""
    scores = spatial_scores(dataset, methods or ("image", "expression", "concat"), [LINEAR])
    rows = scores[scores["metric"].isin(PAPER_METRICS) & scores["task"].str.startswith("nei")]
    rings = rows.groupby("task")[["inner_um", "outer_um"]].mean()
    reach = {t: f"{r.inner_um:.0f} to {r.outer_um:.0f} um" for t, r in rings.iterrows()}
    rows = rows.assign(ring=rows["task"].map(reach))
    print(f"{dataset}: neighbours, mean over {rows['donor'].nunique()} test donors")
    index = ["target", "metric", "band", "ring"]
    print(rows.pivot_table("value", index, "method", sort=False).round(3).to_string())


if __name__ == "__main__":
    with report_errors(__doc__):
        main(*positional_arguments(main, sys.argv[1:]))
