"""Compare linear alignments with the spectral ceiling: CCA, Barlow Twins and VICReg.

python benchmarks/linear_heads.py [DATASET ...]

Barlow Twins and VICReg have one linear map per modality and no projector. The width of all three is
the number of shared directions, so that no output can encode anything else. Their linear scores on
test donors are compared with those of the canonical variates, as in the stage `spectrum`, beside
concatenation and CoMM from the study. Needs pairs, labels, embeddings and scores of the default
study (`dvc pull`), and takes a minute per data set.
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

from cell_synergy import models
from cell_synergy.core.config import load, read_param, read_section
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.pipeline import paths
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold, draw_validation_mask
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.models.barlowtwins import Model as BarlowTwins
from cell_synergy.models.barlowtwins import barlow_twins
from cell_synergy.models.vicreg import Model as VICReg
from cell_synergy.models.vicreg import vicreg
from cell_synergy.scoring.tables import read_methods
from cell_synergy.studies.spectrum.ceiling_scores import ceiling_scores, compare
from cell_synergy.studies.spectrum.config import SpectrumConfig
from cell_synergy.studies.spectrum.correlations import CentredPairs
from cell_synergy.studies.spectrum.tabulate import shared
from cell_synergy.training.method import FitSpec, Method, Pairs, RunContext, Weights
from cell_synergy.training.modules import Inputs, Network, PairLoss

BESIDE = ["concat", "comm"]


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
        "cca": models.load("cca", read_section("models.cca") | {"components": directions}),
        "barlowtwins, linear": LinearBarlowTwins(**read_section("models.barlowtwins") | width),
        "vicreg, linear": LinearVICReg(**read_section("models.vicreg") | width),
    }


def learnt(method: Method, name: str, pairs: Pairs, rest: Pairs) -> list[Weights]:
    """Fit one method with every seed of the study."""
    align = read_section("align")
    seeds = range(align["seed"], align["seed"] + method.n_seeds(align["seeds"]))
    jobs = [FitSpec(f"{name}-{seed}", pairs, rest, seed) for seed in seeds]
    with TemporaryDirectory() as scratch:
        checkpoint = Path(scratch, "checkpoint.pt")
        return method.fit(
            jobs, RunContext(read_section("training"), lambda *_: None, checkpoint, name)
        )


def judged(name: str) -> pd.DataFrame:
    """Return the scores of linear alignments of one data set, compared with its ceiling."""
    where = {"dataset": name, "method": "any"}
    arguments = paths("evaluate", where, read_section("experts"))
    files = {k: Path(v) for k, v in arguments.items() if not k.startswith("data")}
    dataset, probe = load(DatasetConfig, f"data.{name}"), load(ProbeConfig, "probe")
    paired = PairedDataset.read(
        files["pairs"], files["image"], files["expression"], dataset, files["labels"]
    )
    (fold,) = paired.folds
    image, expression = paired.standardised(fold)
    kept_back = draw_validation_mask(paired.adata, fold.align, read_section("align")["held"])
    rows = np.flatnonzero(fold.align & ~kept_back)
    pairs, rest = (
        Pairs(image[some], expression[some], paired.donor[some])
        for some in (rows, np.flatnonzero(kept_back))
    )
    every = CentredPairs.of(image, expression, paired.donor)
    found = shared(every.subset(rows), load(SpectrumConfig, "spectrum"), fold)
    variates = found.variates(image, expression)
    ceiling = ceiling_scores(paired, dataset.tasks, partial(_always, variates), probe)
    table = read_methods(files["out"].parent.parent, name, read_section("models"))
    scores = [table[table["method"].isin(BESIDE)]]
    for title, method in linear(len(found.correlations)).items():
        for seed, weights in enumerate(learnt(method, title, pairs, rest)):
            z = method.transform(weights, image, expression)
            table = ceiling_scores(paired, dataset.tasks, partial(_always, z), probe)
            scores.append(table.assign(method=title, seed=seed))
    return compare(ceiling, pd.concat(scores))


def _always(z: Float32[np.ndarray, "obs d"], _: Fold, __: int) -> Float32[np.ndarray, "obs d"]:
    return z


def main(names: list[str]) -> None:
    """Print gains over the ceiling; + and - mark those above and below it."""
    use_threads(read_param("threads"))
    marks = {"above": "+", "below": "-", "at": " ", "": "?"}
    for name in names or read_param("datasets"):
        table = judged(name)
        table = table[table["metric"].isin(["macro_f1", "r2"])]
        top = table[(table["quantity"] == "score") & (table["method"] == "ceiling")]
        over = table[table["quantity"] == "over_ceiling"]
        cells = over["value"].map("{:+.3f}".format) + over["verdict"].map(marks)
        shown = over.assign(cell=cells).pivot_table("cell", "task", "method", aggfunc="first")
        shown.insert(0, "ceiling", top.set_index("task")["value"].round(3))
        print(f"\n{name}\n{shown.to_string()}", flush=True)


if __name__ == "__main__":
    with report_errors(__doc__):
        main(sys.argv[1:])
