"""Known answers: embeddings of logic gates and of Gaussians, and what the estimators make of them.

Each unit has three sources, fair bits or standard Gaussians. Image and expression both show the
third; the image alone shows the first, the expression alone the second. What a label asks of them
is redundant, unique, synergistic or a mixture by construction. A bit's label is wrong with
probability `noise`, a Gaussian's target has noise of its own, so nothing is certain.
"""

from collections.abc import Callable, Iterator
from typing import Annotated

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64, Int
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from scipy import sparse

from cell_synergy.core.config import Config
from cell_synergy.core.random import stream
from cell_synergy.data.config import ClassificationTask, Names
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import judge, pair_and_parts
from cell_synergy.downstream.information.decompose import PAIR
from cell_synergy.downstream.information.task_information import information
from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import Question
from cell_synergy.pid import gaussian
from cell_synergy.pid.discrete import Decomposition, broja

Bits = Int[np.ndarray, "obs 3"]

GATES: dict[str, Callable[[Bits], Int[np.ndarray, " obs"]]] = {
    "xor": lambda b: b[:, 0] ^ b[:, 1],
    "and": lambda b: b[:, 0] & b[:, 1],
    "copy": lambda b: 2 * b[:, 0] + b[:, 1],
    "unique": lambda b: b[:, 0],
    "redundant": lambda b: b[:, 2],
}
# Weights of the three sources in a Gaussian target, whose own noise has variance 1.
GAUSSIANS = {
    "gaussian unique": (1.0, 0.0, 0.0),
    "gaussian shared": (0.0, 0.0, 1.0),
    "gaussian sum": (1.0, 1.0, 1.0),
}
SHOWN = {"image": (0, 2), "expression": (1, 2)}
PARTS = "R", "U_image", "U_expression", "S"


class CalibrationConfig(Config):
    """Sizes of the simulated data sets.

    Attributes
    ----------
    designs
        `donors x units` of test donors and of units per donor, separated by commas.
    train
        Training donors of each data set.
    repeats
        Data sets of each design.
    width
        Features of each embedding.
    spread
        How far a unit lies from its sources' codes, which have length 1 each.
    shift
        How far a donor's units are shifted.
    noise
        Probability that a label is wrong.
    seed
        Of all streams.
    """

    designs: Names
    train: PositiveInt
    repeats: PositiveInt
    width: PositiveInt
    spread: PositiveFloat
    shift: PositiveFloat
    noise: Annotated[float, Field(gt=0, lt=0.5)]
    seed: NonNegativeInt

    def sizes(self) -> list[tuple[int, int]]:
        """Return test donors and units per donor of each design."""
        return [(int(a), int(b)) for a, b in (design.split("x") for design in self.designs)]


def simulate(settings: CalibrationConfig, donors: int, units: int, repeat: int) -> PairedDataset:
    """Draw one data set of gates: training donors, and test donors who are scored."""
    bits = _stream(settings, "bits", donors, units, repeat).integers(
        2, size=((settings.train + donors) * units, 3)
    )
    paired = _shown(settings, 2.0 * bits - 1, donors, units, repeat)
    for gate, label in GATES.items():
        draws = _stream(settings, f"labels of {gate}", donors, units, repeat)
        paired.adata.obs[gate] = pd.Categorical(_noisy(label(bits), settings.noise, draws))
    return paired


def gates(
    settings: CalibrationConfig,
    probe: ProbeConfig,
    cells: int,
    donors: int,
    units: int,
    repeat: int,
) -> Iterator[dict[str, object]]:
    """Yield the estimated parts of each gate in one data set, beside the truth."""
    paired = simulate(settings, donors, units, repeat)
    tasks = {gate: ClassificationTask(kind="classification") for gate in GATES}
    posteriors = {
        name: judge(name, paired, tasks, [repeat], represent, probe).posteriors
        for name, represent in pair_and_parts(paired).items()
    }
    (fold,) = paired.folds
    found = information(paired.adata, paired.groups, [fold], tasks, posteriors, cells)
    found = found[found["method"] == PAIR]
    rows = {(row["task"], row["quantity"]): row for row in found.to_dict("records")}
    for gate in GATES:
        known = _named(truth(gate, settings.noise))
        for part in PARTS:
            row = rows[gate, part]
            yield {
                "case": gate,
                "quantity": part,
                "truth": known[part],
                "estimate": row["bits"],
                "low": row["low"],
                "high": row["high"],
            }


def gaussians(
    settings: CalibrationConfig, probe: ProbeConfig, donors: int, units: int, repeat: int
) -> Iterator[dict[str, object]]:
    """Yield the estimated parts of each Gaussian target in one data set, beside the truth.

    A ridge probe's R2 on test donors gives the bits, -log2(1 - R2) / 2; of one Gaussian variable
    the smaller information is the redundant one.
    """
    draws = _stream(settings, "gaussians", donors, units, repeat)
    sources = draws.standard_normal(((settings.train + donors) * units, 3))
    paired = _shown(settings, sources, donors, units, repeat)
    (fold,) = paired.folds
    train, test = np.flatnonzero(fold.probe), np.flatnonzero(fold.test)
    inner = np.unique(paired.groups[train], return_inverse=True)[1] % probe.inner_folds
    for case, weights in GAUSSIANS.items():
        y = (sources @ weights + draws.standard_normal(len(sources)))[:, None]
        question = Question(train, inner, test, np.zeros(0, dtype=np.int64), y[train])
        bits = []
        for represent in pair_and_parts(paired).values():
            linear = LinearProbe(represent(fold, 0), probe)
            said = linear.answer(question, linear.choose(question)).predicted
            own = [paired.donor[test] == donor for donor in np.unique(paired.donor[test])]
            r2 = np.mean([metrics.regression(y[test][d], said[d])["r2"] for d in own])
            bits.append(float(-0.5 * np.log2(1 - r2)))
        known = _named(gaussian_truth(weights))
        for part, estimate in zip(PARTS, _by_minimum(*bits), strict=True):
            yield {"case": case, "quantity": part, "truth": known[part], "estimate": estimate}


def truth(gate: str, noise: float) -> Decomposition:
    """Return the exact decomposition of a gate."""
    every = np.indices((2, 2, 2)).reshape(3, -1).T
    labels = GATES[gate](every)
    classes = int(labels.max()) + 1
    joint = np.zeros((4, 4, classes))
    for bits, label in zip(every, labels, strict=True):
        first, second = (2 * bits[a] + bits[b] for a, b in SHOWN.values())
        joint[first, second] += np.full(classes, noise / (classes - 1)) / len(every)
        joint[first, second, label] += (1 - noise - noise / (classes - 1)) / len(every)
    return broja(joint)


def gaussian_truth(weights: tuple[float, ...]) -> Decomposition:
    """Return the exact decomposition of a Gaussian target.

    The shared source is the same variable on both sides; a little noise of each keeps the
    covariance regular and changes no part by 1e-4 bits.
    """
    a, b, c = weights
    mixing = np.array([[a, b, c], [1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]], dtype=np.float64)
    noise = np.diag([1.0, *[1e-5] * 4])
    return gaussian.mmi(mixing @ mixing.T + noise, (1, 2, 2))


def table(settings: CalibrationConfig, probe: ProbeConfig, cells: int) -> pd.DataFrame:
    """Return one row per design, repeat, case and part: truth, estimate, interval.

    The interval of a gate's part is that of the study; Gaussian targets have none.
    """
    rows = []
    for donors, units in settings.sizes():
        for repeat in range(settings.repeats):
            place = {"donors": donors, "units": units, "repeat": repeat}
            found = [
                *gates(settings, probe, cells, donors, units, repeat),
                *gaussians(settings, probe, donors, units, repeat),
            ]
            rows += [place | row for row in found]
    return pd.DataFrame(rows)


def _shown(
    settings: CalibrationConfig,
    sources: Float64[np.ndarray, "obs 3"],
    donors: int,
    units: int,
    repeat: int,
) -> PairedDataset:
    """Return units whose embeddings show the sources, with a shift of each donor and noise."""
    everyone = settings.train + donors
    donor = np.repeat([f"d{number:02}" for number in range(everyone)], units)
    names = [f"u{number}" for number in range(len(donor))]
    obs = pd.DataFrame({"donor": donor, "section": donor}, index=names)
    rows = ad.AnnData(sparse.csr_matrix(np.zeros((len(obs), 0), dtype=np.float32)), obs=obs)
    rows.obsm["spatial"] = np.column_stack([np.arange(len(obs)), np.zeros(len(obs))]).astype(float)
    rows.uns["source"] = "calibrate"
    sides = []
    for side, shown in SHOWN.items():
        draws = _stream(settings, f"embedding of {side}", donors, units, repeat)
        codes, noise, shift = (
            draws.standard_normal((count, settings.width)) / np.sqrt(settings.width)
            for count in (len(shown), len(donor), everyone)
        )
        x = sources[:, shown] @ codes + settings.spread * noise
        sides.append((x + settings.shift * np.repeat(shift, units, axis=0)).astype(np.float32))
    train = np.arange(len(donor)) < settings.train * units
    fold = Fold("holdout", train, train, ~train)
    return PairedDataset(rows, sides[0], sides[1], donor, donor, [fold], "train")


def _noisy(
    label: Int[np.ndarray, " obs"], noise: float, draws: np.random.Generator
) -> Int[np.ndarray, " obs"]:
    """Replace each label with probability `noise` by another one."""
    classes = int(label.max()) + 1
    other = (label + draws.integers(1, classes, size=len(label))) % classes
    return np.where(draws.random(len(label)) < noise, other, label)


def _by_minimum(first: float, second: float, both: float) -> tuple[float, float, float, float]:
    redundant = min(first, second)
    return redundant, first - redundant, second - redundant, both - max(first, second)


def _named(parts: Decomposition) -> dict[str, float]:
    values = parts.redundant, parts.unique1, parts.unique2, parts.synergy
    return dict(zip(PARTS, values, strict=True))


def _stream(settings: CalibrationConfig, purpose: str, *numbers: int) -> np.random.Generator:
    return stream(settings.seed, "calibrate", purpose, *map(str, numbers))
