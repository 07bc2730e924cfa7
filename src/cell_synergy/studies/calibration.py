"""Calibration of the estimators on simulated embeddings with known decompositions.

Each observation has three sources, fair bits or standard Gaussian variables. Both embeddings encode
the third source; the image alone encodes the first, and the expression alone the second. The label
of a gate is wrong with probability `noise`; a Gaussian target has noise of variance 1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64, Int
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from scipy import sparse

from cell_synergy.core.config import Config
from cell_synergy.core.random import stream
from cell_synergy.data.config import ClassificationTask
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.naming import Names
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import baseline_representations, evaluate
from cell_synergy.downstream.information.held_out import PAIR
from cell_synergy.downstream.information.task_information import information
from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import ProbeTask
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
GAUSSIANS = {  # weights of the three sources in a target
    "gaussian unique": (1.0, 0.0, 0.0),
    "gaussian shared": (0.0, 0.0, 1.0),
    "gaussian sum": (1.0, 1.0, 1.0),
}
SOURCES = {"image": (0, 2), "expression": (1, 2)}  # encoded by each embedding
PARTS = "R", "U_image", "U_expression", "S"


class CalibrationConfig(Config):
    """Sizes of the simulated data sets.

    Attributes
    ----------
    designs
        A list of designs `AxB` of A test donors with B observations each.
    train
        Number of training donors of each data set.
    repeats
        Number of data sets of each design.
    width
        Number of features of each embedding.
    spread
        Length of the noise of an embedding; the code of a source has length 1 (root mean squares).
    shift
        Length of a donor's batch effect (root mean square).
    noise
        Probability that a label is wrong.
    seed
        Seed of all random streams.
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
        """Return the numbers of test donors and of observations per donor of each design."""
        return [(int(a), int(b)) for a, b in (design.split("x") for design in self.designs)]


@dataclass(frozen=True)
class Replicate:
    """One simulated data set of a design.

    Attributes
    ----------
    config
        Configuration of all data sets.
    donors, n_obs, repeat
        Number of test donors, number of observations per donor, and index of the data set among
        those of the design.
    """

    config: CalibrationConfig
    donors: int
    n_obs: int
    repeat: int

    @property
    def total(self) -> int:
        """Number of observations of training and test donors."""
        return (self.config.train + self.donors) * self.n_obs

    def stream(self, purpose: str) -> np.random.Generator:
        """Return the random generator of one purpose."""
        numbers = map(str, (self.donors, self.n_obs, self.repeat))
        return stream(self.config.seed, "calibrate", purpose, *numbers)


def simulate(replicate: Replicate) -> PairedDataset:
    """Draw the paired data set of a replicate, whose `obs` has one column of labels per gate."""
    bits = replicate.stream("bits").integers(2, size=(replicate.total, 3))
    paired = _embed_sources(replicate, 2.0 * bits - 1)
    for gate, label in GATES.items():
        rng = replicate.stream(f"labels of {gate}")
        paired.adata.obs[gate] = pd.Categorical(_noisy(label(bits), replicate.config.noise, rng))
    return paired


def gate_rows(replicate: Replicate, probe: ProbeConfig, cells: int) -> Iterator[dict[str, object]]:
    """Yield a dictionary per gate and part of its decomposition: truth, estimate, interval in bits.

    Parameters
    ----------
    replicate
        The data set.
    probe, cells
        Configuration of the probes, and maximal number of clusters of a modality's posteriors.
    """
    paired = simulate(replicate)
    tasks = {gate: ClassificationTask(kind="classification") for gate in GATES}
    posteriors = {
        name: evaluate(name, paired, tasks, [replicate.repeat], represent, probe).posteriors
        for name, represent in baseline_representations(paired).items()
    }
    (fold,) = paired.folds
    estimates = information(paired.adata, paired.groups, [fold], tasks, posteriors, cells)
    estimates = estimates[estimates["method"] == PAIR]
    rows = {(row["task"], row["quantity"]): row for row in estimates.to_dict("records")}
    for gate in GATES:
        truth = _by_part(gate_truth(gate, replicate.config.noise))
        for part in PARTS:
            row = rows[gate, part]
            yield {
                "case": gate,
                "quantity": part,
                "truth": truth[part],
                "estimate": row["bits"],
                "low": row["low"],
                "high": row["high"],
            }


def gaussian_rows(replicate: Replicate, probe: ProbeConfig) -> Iterator[dict[str, object]]:
    """Yield a dictionary per Gaussian target and part of its decomposition: truth and estimate.

    The R2 of a ridge probe on test donors gives the information in bits, -log2(1 - R2) / 2. For one
    Gaussian variable the smaller information of the two embeddings is the redundant part.

    Parameters
    ----------
    replicate, probe
        The data set, and configuration of the probes.
    """
    rng = replicate.stream("gaussians")
    sources = rng.standard_normal((replicate.total, 3))
    paired = _embed_sources(replicate, sources)
    (fold,) = paired.folds
    train, test = np.flatnonzero(fold.probe), np.flatnonzero(fold.test)
    inner = np.unique(paired.groups[train], return_inverse=True)[1] % probe.inner_folds
    donors = paired.donor[test]
    masks = [donors == donor for donor in np.unique(donors)]
    for case, weights in GAUSSIANS.items():
        y = (sources @ weights + rng.standard_normal(len(sources)))[:, None]
        task = ProbeTask(train, inner, test, np.zeros(0, dtype=np.int64), y[train])
        bits = []
        for represent in baseline_representations(paired).values():
            linear = LinearProbe(represent(fold, 0), probe)
            predicted = linear.predict(task, linear.select(task)).predicted
            scores = [metrics.regression(y[test][mask], predicted[mask])["r2"] for mask in masks]
            bits.append(float(-0.5 * np.log2(1 - np.mean(scores))))
        truth = _by_part(gaussian_truth(weights))
        estimate = _by_part(_minimum_information(*bits))
        for part in PARTS:
            yield {
                "case": case, "quantity": part, "truth": truth[part], "estimate": estimate[part],
            }  # fmt: skip


def gate_truth(gate: str, noise: float) -> Decomposition:
    """Return the exact decomposition, in bits, of a gate with noisy labels.

    Parameters
    ----------
    gate, noise
        Name of the gate, a key of `GATES`, and probability that its label is wrong.
    """
    states = np.indices((2, 2, 2)).reshape(3, -1).T
    labels = GATES[gate](states)
    classes = int(labels.max()) + 1
    joint = np.zeros((4, 4, classes))
    for bits, label in zip(states, labels, strict=True):
        first, second = (2 * bits[a] + bits[b] for a, b in SOURCES.values())
        joint[first, second] += np.full(classes, noise / (classes - 1)) / len(states)
        joint[first, second, label] += (1 - noise - noise / (classes - 1)) / len(states)
    return broja(joint)


def gaussian_truth(weights: tuple[float, ...]) -> Decomposition:
    """Return the exact decomposition of a Gaussian target, given the weights of the three sources.

    Both embeddings encode the third source; independent noise of variance 1e-5 keeps the covariance
    regular and changes each part by less than 1e-4 bits.
    """
    a, b, c = weights
    mixing = np.array([[a, b, c], [1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]], dtype=np.float64)
    noise = np.diag([1.0, *[1e-5] * 4])
    return gaussian.mmi(mixing @ mixing.T + noise, (1, 2, 2))


def calibration_table(config: CalibrationConfig, probe: ProbeConfig, cells: int) -> pd.DataFrame:
    """Return the true and the estimated decomposition of every case in every data set.

    Parameters
    ----------
    config, probe, cells
        Configurations of data sets and probes, and `cells` of `InformationConfig`.

    Returns
    -------
    :
        Columns `donors, units` (observations per donor), `repeat, case, quantity` (of `PARTS`);
        `truth` and `estimate` in bits; and for gates the 95 % interval `low, high`.
    """
    rows = []
    for donors, n_obs in config.sizes():
        for repeat in range(config.repeats):
            replicate = Replicate(config, donors, n_obs, repeat)
            key = {"donors": donors, "units": n_obs, "repeat": repeat}
            parts = [*gate_rows(replicate, probe, cells), *gaussian_rows(replicate, probe)]
            rows += [key | row for row in parts]
    return pd.DataFrame(rows)


def _embed_sources(replicate: Replicate, sources: Float64[np.ndarray, "obs 3"]) -> PairedDataset:
    """Return a data set whose embeddings encode the sources, with batch effects and noise."""
    config, n_donors = replicate.config, replicate.config.train + replicate.donors
    donor = np.repeat([f"d{number:02}" for number in range(n_donors)], replicate.n_obs)
    names = [f"u{number}" for number in range(len(donor))]
    obs = pd.DataFrame({"donor": donor, "section": donor}, index=names)
    adata = ad.AnnData(sparse.csr_matrix(np.zeros((len(obs), 0), dtype=np.float32)), obs=obs)
    coords = [np.arange(len(obs)), np.zeros(len(obs))]
    adata.obsm["spatial"] = np.column_stack(coords).astype(float)
    adata.uns["source"] = "calibrate"
    embeddings = []
    for modality, encoded in SOURCES.items():
        rng = replicate.stream(f"embedding of {modality}")
        codes, noise, shift = (
            rng.standard_normal((count, config.width)) / np.sqrt(config.width)
            for count in (len(encoded), len(donor), n_donors)
        )
        x = sources[:, encoded] @ codes + config.spread * noise
        x = x + config.shift * np.repeat(shift, replicate.n_obs, axis=0)
        embeddings.append(x.astype(np.float32))
    train = np.arange(len(donor)) < config.train * replicate.n_obs
    fold = Fold("holdout", train, train, ~train)
    image, expression = embeddings
    return PairedDataset(adata, image, expression, donor, donor, [fold], "train")


def _noisy(
    labels: Int[np.ndarray, " obs"], noise: float, rng: np.random.Generator
) -> Int[np.ndarray, " obs"]:
    """Replace each label by another one with probability `noise`."""
    classes = int(labels.max()) + 1
    others = (labels + rng.integers(1, classes, size=len(labels))) % classes
    return np.where(rng.random(len(labels)) < noise, others, labels)


def _minimum_information(first: float, second: float, both: float) -> Decomposition:
    """Return the decomposition of estimated informations; its synergy may be negative."""
    redundant = min(first, second)
    return Decomposition(
        redundant, first - redundant, second - redundant, both - max(first, second)
    )


def _by_part(parts: Decomposition) -> dict[str, float]:
    """Return a decomposition as a dictionary with the keys `PARTS`."""
    values = parts.redundant, parts.unique1, parts.unique2, parts.synergy
    return dict(zip(PARTS, values, strict=True))
