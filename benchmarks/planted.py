"""Detection of synergy at a known distance by the curve of gains over distance.

python -m benchmarks.planted seeds=1 out=benchmarks/planted.csv

The simulated tissue consists of nodules, like granulomas, far apart. A nodule has a dense core and
rings around it, each with one label, which both embeddings of its observations encode. In the core,
the image embedding encodes one more binary state and the expression embedding another; both are
drawn independently for each nodule. In planted tissue the label of one ring is the exclusive or of
the two states, in unplanted tissue it is independent of them; all else is the same. Only both
states together determine the label, and only at the ring's distance from the core. The excess of
the curve of planted over that of unplanted tissue must therefore peak in that band, and be zero
farther away from it than one correlation length (the width of a ring, within which labels are the
same). Probes are nonlinear and scored on held-out donors; embeddings are drawn. `seeds` is the
number of pairs of tissues. Takes 20 s each.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64, Int
from pydantic import PositiveInt
from scipy import sparse

from cell_synergy.core.config import Config, arguments
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.random import stream
from cell_synergy.data.config import ClassificationTask
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import baseline_representations
from cell_synergy.downstream.probes.config import MLPConfig, ProbeConfig
from cell_synergy.downstream.spatial.config import SpatialConfig
from cell_synergy.downstream.spatial.scores import SpatialTasks, evaluate
from cell_synergy.scoring.inference import paired_t
from cell_synergy.scoring.tables import sis_by_donor

MEASURES = {"macro_f1": "gain in macro F1", "bits": "gain, share of H"}
TRAIN, TEST, NODULES = 24, 16, 6  # training donors, test donors, nodules of each
# Micrometres: width of a ring, which is also the radius of a core; distances between observations
# of a core, between those of rings, and between nodules.
WIDTH, CORE_PITCH, RING_PITCH, APART = 100.0, 25.0, 80.0, 2000.0
RINGS, PLANTED = 4, 2  # number of rings, and the planted one; ring r is r to r + 1 widths away
FREQUENT = 0.7  # share of the other rings with the label
FEATURES, NOISE = 6, 0.6  # of each embedding; standard deviation of its noise (states are -1 and 1)
# Mean number of neighbours within 1, 2, ... 5 widths of an observation.
NEIGHBOURS = [15, 37, 70, 106, 148]
MLP_SETTINGS = MLPConfig(
    starts=1, hidden=16, axes=2 * FEATURES, powers=8, epochs=6, batches=20, lr=0.01, weakest=0.3,
    strongest=3.0, strengths=2,
)  # fmt: skip
PROBE = ProbeConfig(
    weakest=0.01, strongest=1.0, strengths=2, block_steps=0, inner_folds=3, tolerance=1e-3,
    iterations=100, mlp=MLP_SETTINGS,
)  # fmt: skip
SPATIAL = SpatialConfig.model_validate(
    {
        "neighbours": NEIGHBOURS, "least": 20, "targets": ["label"], "probes": ["mlp"], "seed": 0,
        "consistency": {"nearest": 5, "farthest": 0.8, "pairs": 20},
    }
)  # fmt: skip


class Args(Config):
    """Number of seeds, and the output."""

    seeds: PositiveInt
    out: Path


def hexagons(pitch: float, inner: float, outer: float) -> Float64[np.ndarray, "obs 2"]:
    """Return the points of a hexagonal array at a distance from 0 in (`inner`, `outer`]."""
    reach = int(2 * outer / pitch) + 1
    row, column = (part.ravel() for part in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    places = pitch * np.column_stack([column + row % 2 / 2, row * np.sqrt(3) / 2])
    distance = np.linalg.norm(places, axis=1)
    within: Float64[np.ndarray, "obs 2"] = places[(distance > inner) & (distance <= outer)]
    return within


def nodule() -> tuple[Float64[np.ndarray, "obs 2"], Int[np.ndarray, " obs"]]:
    """Return the coordinates of a nodule's observations and the ring of each, 0 for the core."""
    core = hexagons(CORE_PITCH, -1.0, WIDTH)
    around = hexagons(RING_PITCH, WIDTH, (RINGS + 1) * WIDTH)
    places = np.concatenate([core, around])
    ring = np.ceil(np.linalg.norm(places, axis=1) / WIDTH).astype(np.int64) - 1
    return places, np.maximum(ring, 0)


def paired(seed: int, *, planted: bool) -> PairedDataset:
    """Return planted or unplanted tissue, which differ in the label of one ring only."""
    places, ring = nodule()
    count, donors = len(places), TRAIN + TEST
    nodules, random = donors * NODULES, stream(seed, "planted")
    states = random.integers(2, size=(nodules, 2))
    labels = (random.random((nodules, RINGS + 1)) < FREQUENT).astype(np.int64)
    labels[:, PLANTED] = random.integers(2, size=nodules)
    if planted:
        labels[:, PLANTED] = states[:, 0] ^ states[:, 1]
    label = labels[:, ring].ravel()
    embeddings = np.zeros((2, nodules * count, FEATURES))
    embeddings[:, :, 0] = 2 * label - 1
    embeddings[:, :, 1] = ((2 * states.T - 1)[:, :, None] * (ring == 0)).reshape(2, -1)
    embeddings += NOISE * random.standard_normal(embeddings.shape)
    donor = np.repeat([f"D{number:02d}" for number in range(donors)], NODULES * count)
    obs = pd.DataFrame({"donor": donor, "section": donor})
    obs.index = pd.Index([f"u{number}" for number in range(len(obs))])
    obs["label"] = pd.Categorical.from_codes(label, pd.Index(["no", "yes"]))
    units = ad.AnnData(sparse.csr_matrix(np.zeros((len(obs), 0), dtype=np.float32)), obs=obs)
    centre = np.repeat(np.arange(nodules) % NODULES, count) * APART
    units.obsm["spatial"] = np.tile(places, (nodules, 1)) + centre[:, None] * np.array([1.0, 0.0])
    units.uns["source"] = "planted" if planted else "unplanted"
    train = donor < f"D{TRAIN:02d}"
    image, expression = embeddings.astype(np.float32)
    folds = [Fold("holdout", train, train, ~train)]
    return PairedDataset(units, image, expression, donor, donor, folds, "train")


def scores(drawn: PairedDataset, seed: int) -> pd.DataFrame:
    """Return the scores of both embeddings and of their concatenation in every band."""
    spatial_tasks = SpatialTasks.of(
        drawn, {"label": ClassificationTask(kind="classification")}, SPATIAL
    )
    tables = [
        evaluate(name, drawn, spatial_tasks, [seed], represent, PROBE, SPATIAL.probes)
        for name, represent in baseline_representations(drawn).items()
    ]
    return pd.concat(tables, ignore_index=True)


def excess(seed: int) -> pd.DataFrame:
    """Return the curves of planted and unplanted tissue, and the excess with its 95 % interval.

    `measure` is the metric of the gain over both embeddings: macro F1, or bits as a share of the
    labels' entropy.
    """
    by_kind = {
        kind: scores(paired(seed, planted=kind == "planted"), seed)
        for kind in ("planted", "unplanted")
    }
    places = by_kind["planted"].groupby("band")[["inner_um", "outer_um"]].mean()
    tables = []
    for metric in MEASURES:
        shares = {kind: _by_donor(table, metric) for kind, table in by_kind.items()}
        difference = shares["planted"] - shares["unplanted"]
        interval = paired_t(difference.to_numpy())
        curve = places.assign(measure=metric, excess=difference.mean())
        curve = curve.assign(low=interval.low, high=interval.high)
        means = pd.DataFrame({kind: share.mean() for kind, share in shares.items()})
        tables.append(curve.join(means).reset_index())
    return pd.concat(tables, ignore_index=True)


def _by_donor(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return each donor's gain, with one column per band."""
    scores = scores[(scores["target"] == "label") & (scores["metric"] == metric)]
    band = scores.groupby("task")["band"].first()
    shares = sis_by_donor(scores).pivot_table("gain", "donor", "task")
    shares.columns = pd.Index(band.loc[shares.columns])
    return shares


def report(curves: pd.DataFrame) -> Iterator[str]:
    """Yield the lines that are printed."""
    ring = f"{PLANTED * WIDTH:g} to {(PLANTED + 1) * WIDTH:g}"
    yield f"synergy planted {ring} um from a nodule's centre"
    for measure, rows in curves.groupby("measure", sort=False):
        yield f"{MEASURES[str(measure)]:16} micrometres  planted  unplanted  excess   95 % interval"
        for _, row in rows.iterrows():
            interval = f"{row['low']:.3f} to {row['high']:.3f}"
            yield (
                f"  band {row['band']}       {row['inner_um']:5.0f} - {row['outer_um']:3.0f}  "
                f"{row['planted']:7.3f}  {row['unplanted']:9.3f}  {row['excess']:6.3f}   "
                f"{'the same for every donor' if np.isnan(row['low']) else interval}"
            )


def main(args: Args) -> None:
    """Draw, score, print the first seed's curves, write those of all."""
    use_threads(1)
    curves = [excess(seed).assign(seed=seed) for seed in range(args.seeds)]
    for line in report(curves[0]):
        print(line)
    with atomic_write(args.out) as new:
        pd.concat(curves).to_csv(new, index=False, float_format="%.4f")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
