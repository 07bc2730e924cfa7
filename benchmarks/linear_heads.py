"""Compare linear alignments with the spectral ceiling: CCA, Barlow Twins and VICReg.

python -m benchmarks.linear_heads dataset=lung pairs=data/pairs labels=data/labels \
    embeddings=data/embeddings scores=results/probe out=benchmarks/linear_heads/lung.csv

Barlow Twins and VICReg have one linear map per modality and no projector. The width of all three is
the number of shared directions, so that no output can encode anything else. Their linear scores on
test donors are compared with those of the canonical variates, as in the stage `spectrum`, beside
concatenation and CoMM from the study. Takes a minute per data set.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from benchmarks._data import DataArgs, read
from cell_synergy.core.config import arguments, load, load_keys, read_param, read_section
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.data.inputs import InputConfig
from cell_synergy.data.splits import Fold, draw_validation_mask
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.models.barlowtwins import Model as BarlowTwins
from cell_synergy.models.barlowtwins import barlow_twins
from cell_synergy.models.cca import Model as CanonicalVariates
from cell_synergy.models.vicreg import Model as VICReg
from cell_synergy.models.vicreg import vicreg
from cell_synergy.scoring.tables import read_scores
from cell_synergy.studies.spectrum.ceiling_scores import ceiling_scores, compare
from cell_synergy.studies.spectrum.config import SpectrumConfig
from cell_synergy.studies.spectrum.correlations import CentredPairs
from cell_synergy.studies.spectrum.tabulate import shared
from cell_synergy.training.method import FitSpec, Method, Pairs, RunContext, Weights
from cell_synergy.training.modules import Inputs, Network, PairLoss

BESIDE = ["concat", "comm"]


class Args(DataArgs):
    """Data set, folders that the study writes, with `scores` of its methods, and the output."""

    scores: Path


class LinearHeads(Network):
    """One linear map per modality, with a loss of the paired outputs."""

    def __init__(self, d1: int, d2: int, width: int, compare: PairLoss) -> None:
        super().__init__()
        self.encoders = nn.ModuleList([nn.Linear(d, width // 2) for d in (d1, d2)])
        self.compare = compare

    def encode(self, inputs: Inputs) -> list[Float[Tensor, "obs half"]]:
        """Return each modality's part of `z3`."""
        return [f(x) for f, x in zip(self.encoders, inputs, strict=True)]

    def loss(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        """Return the loss of the paired outputs."""
        return self.compare(*self.encode(views[0]))

    def joint(self, inputs: Inputs) -> Float[Tensor, "obs width"]:
        """Return both outputs side by side."""
        return torch.cat(self.encode(inputs), dim=1)


class LinearBarlowTwins(BarlowTwins):
    """Barlow Twins without hidden layers."""

    def network(self, d1: int, d2: int) -> Network:
        """Return linear heads."""
        return LinearHeads(d1, d2, self.width, partial(barlow_twins, redundancy=self.redundancy))


class LinearVICReg(VICReg):
    """VICReg without hidden layers."""

    def network(self, d1: int, d2: int) -> Network:
        """Return linear heads."""
        weights = self.model_dump(include={"invariance", "variance", "covariance"})
        return LinearHeads(d1, d2, self.width, partial(vicreg, **weights))


def linear(directions: int) -> dict[str, Method]:
    """Return the methods, whose width per modality is the number of shared directions."""
    width = {"width": 2 * directions}
    return {
        "cca": CanonicalVariates(**read_section("models.cca") | {"components": directions}),
        "barlowtwins, linear": LinearBarlowTwins(**read_section("models.barlowtwins") | width),
        "vicreg, linear": LinearVICReg(**read_section("models.vicreg") | width),
    }


def fit(method: Method, name: str, pairs: Pairs, validation: Pairs) -> list[Weights]:
    """Fit one method with every seed of the study."""
    first, count = read_param("align.seed"), read_param("align.seeds")
    seeds = range(first, first + method.n_seeds(count))
    specs = [FitSpec(f"{name}-{seed}", pairs, validation, seed) for seed in seeds]
    with TemporaryDirectory() as scratch:
        checkpoint = Path(scratch, "checkpoint.pt")
        training = read_section("training")
        return method.fit(specs, RunContext(training, lambda *_: None, checkpoint, name))


def compared(args: Args) -> pd.DataFrame:
    """Return the scores of linear alignments of one data set, compared with its ceiling."""
    probe, (paired, dataset) = load(ProbeConfig, "probe"), read(args)
    (fold,) = paired.folds
    image, expression = paired.inputs(fold, load_keys(InputConfig, "align").axes)
    mask = draw_validation_mask(paired.adata, fold.align, read_param("align.held"))
    rows = np.flatnonzero(fold.align & ~mask)
    pairs, validation = (
        Pairs(image[some], expression[some], paired.donor[some])
        for some in (rows, np.flatnonzero(mask))
    )
    every = CentredPairs.of(image, expression, paired.donor)
    directions = shared(every.subset(rows), load(SpectrumConfig, "spectrum"), fold)
    variates = directions.variates(image, expression)
    ceiling = ceiling_scores(paired, dataset.tasks, partial(_always, variates), probe)
    table = read_scores(args.scores, args.dataset)
    scores = [table[table["method"].isin(BESIDE)]]
    for title, method in linear(len(directions.correlations)).items():
        for seed, weights in enumerate(fit(method, title, pairs, validation)):
            z = method.transform(weights, image, expression)
            table = ceiling_scores(paired, dataset.tasks, partial(_always, z), probe)
            scores.append(table.assign(method=title, seed=seed))
    return compare(ceiling, pd.concat(scores))


def _always(z: Float32[np.ndarray, "obs d"], _: Fold, __: int) -> Float32[np.ndarray, "obs d"]:
    return z


def main(args: Args) -> None:
    """Fit, score, print gains over the ceiling (+ above it, - below it), write all."""
    use_threads(read_param("threads"))
    marks = {"above": "+", "below": "-", "at": " ", "": "?"}
    table = compared(args)
    shown = table[table["metric"].isin(["macro_f1", "r2"])]
    top = shown[(shown["quantity"] == "score") & (shown["method"] == "ceiling")]
    over = shown[shown["quantity"] == "over_ceiling"]
    cells = over["value"].map("{:+.3f}".format) + over["verdict"].map(marks)
    wide = over.assign(cell=cells).pivot_table("cell", "task", "method", aggfunc="first")
    wide.insert(0, "ceiling", top.set_index("task")["value"].round(3))
    print(wide.to_string())
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.4g")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
