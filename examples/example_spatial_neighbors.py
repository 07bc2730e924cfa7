"""Spatial neighbours: what a unit's embedding knows of the tissue around it, band by band.

python examples/example_spatial_neighbors.py [DATASET] [METHOD ...]

Predicts majority label (macro F1) and composition (R2) of each unit's neighbours, in bands of
distance, from the centre's embedding, on donors that the probe has not seen.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from example_evaluate_f1_r2 import read
from jaxtyping import Float32

from cell_synergy import models
from cell_synergy.core.config import load, section
from cell_synergy.core.errors import places, reported
from cell_synergy.core.names import LINEAR
from cell_synergy.core.pipeline import paths
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.spatial.config import SpatialConfig
from cell_synergy.downstream.spatial.scores import Surroundings, judge
from cell_synergy.training import weights


def spatial_scores(dataset: str, methods: Sequence[str], probes: Sequence[str]) -> pd.DataFrame:
    """Return the spatial scores of some methods with the study's weights, first seed.

    Neighbours are asked of by `probes`, close pairs in any case.
    """
    paired, spec = read(dataset)
    probe, spatial = load(ProbeConfig, "probe"), load(SpatialConfig, "spatial")
    surroundings = Surroundings.of(paired, spec.tasks, spatial)
    found = []
    for name in methods:
        folder = Path(paths("align", {"dataset": dataset, "method": name})["out"])
        seeds = weights.seeds(folder, paired.folds[0].name)[:1]
        shown = partial(_joint, name, folder, paired)
        found.append(judge(name, paired, surroundings, seeds, shown, probe, probes))
    return pd.concat(found, ignore_index=True)


def _joint(
    name: str, folder: Path, paired: PairedDataset, fold: Fold, seed: int
) -> Float32[np.ndarray, "obs d"]:
    """Return the joint embedding that the study's weights give."""
    method = models.load(name, section(f"models.{name}"))
    return method.transform(weights.load(folder, fold.name, seed), *paired.standardised(fold))


def main(dataset: str = "lung", *methods: str) -> None:
    """Print the scores, from the nearest band to the farthest."""
    scores = spatial_scores(dataset, methods or ("image", "expression", "concat"), [LINEAR])
    own = scores[scores["metric"].isin(["macro_f1", "r2"]) & scores["task"].str.startswith("nei")]
    rings = own.groupby("task")[["inner_um", "outer_um"]].mean()
    reach = {t: f"{r.inner_um:.0f} to {r.outer_um:.0f} um" for t, r in rings.iterrows()}
    own = own.assign(ring=own["task"].map(reach))
    print(f"{dataset}: neighbours, mean over {own['donor'].nunique()} test donors")
    rows = ["target", "metric", "band", "ring"]
    print(own.pivot_table("value", rows, "method", sort=False).round(3).to_string())


if __name__ == "__main__":
    with reported(__doc__):
        main(*places(main, sys.argv[1:]))
