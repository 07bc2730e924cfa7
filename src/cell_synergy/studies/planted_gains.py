"""Gains of known size, planted in drawn twins: how often the test finds them.

A drawn twin has a large population of test donors, of which linear probes of all methods predict
the labels. Predictions of a method are mixed with the truth, or with the label shares, to such an
extent that its mean gain over the better expert has a given size in the population; all other
methods have a gain of zero. Studies of a few donors are drawn from the population and tested as the
study's own scores are (half-pooled max-T over the methods, both experts and chance). Donors differ
in what they gain, scores of methods are correlated, and their spreads are unequal, as in the study.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int
from scipy.optimize import brentq
from scipy.special import stdtrit

from cell_synergy.core.errors import ConfigError
from cell_synergy.core.names import UNIMODAL
from cell_synergy.core.random import stream
from cell_synergy.downstream.evaluate import FoldEvaluator, standardised_blocks
from cell_synergy.downstream.probes.feature_blocks import Embedding
from cell_synergy.downstream.probes.tasks import Prediction, task_targets
from cell_synergy.scoring.gains import largest_p
from cell_synergy.scoring.inference import CONFIDENCE
from cell_synergy.scoring.tables import SIGNIFICANCE
from cell_synergy.studies.config import PlantedConfig
from cell_synergy.studies.detection import detection_power
from cell_synergy.studies.drawn_twin import DrawnTwin, draw_twin
from cell_synergy.studies.reach import Settings, fuse

COLUMNS = [
    "seed", "task", "donors", "methods", "method", "effect", "studies", "power", "predicted_power",
    "promised_power", "sd",
]  # fmt: skip

_BATCH = 25  # studies tested at once; for memory
_PROMISED = 50  # studies over which the promised power is averaged


def planted_gains(config: PlantedConfig, settings: Settings, correlation: float) -> pd.DataFrame:
    """Return how often planted gains are found, beside the predicted power.

    Parameters
    ----------
    config
        Twin, tasks, effects and studies.
    settings
        Simulator, expert, methods and probes.
    correlation
        Correlation between the gains of two methods that detection limits assume.

    Returns
    -------
    :
        One row per seed, task, number of `donors`, planted `method` and `effect`: `power`, the
        share of `studies` in which the gain is found; `predicted_power`, that of
        `detection.detection_power` with spread `sd` and correlation of the population, against the
        experts that are about equally good; and
        `promised_power`, its mean over studies with the spread that each estimates, as the table of
        limits has it.

    Raises
    ------
    ConfigError
        If the twin has fewer test donors than a study, does not have a task, or an effect is larger
        than what the experts leave.
    DataError
        If the twin is too small for the expert.
    """
    if max(config.donors) > config.twin.test:
        raise ConfigError(
            f"donors: {max(config.donors)} of a study, the twin has {config.twin.test} test "
            "donors; raise twin.test or lower it"
        )
    parts = []
    for seed in range(config.seed, config.seed + config.seeds):
        simulator = settings.simulator.model_copy(update={"seed": seed})
        twin = draw_twin(config.twin, simulator, settings.expert)
        for task, population in _populations(config, settings, twin, seed).items():
            rows = _found(config, population, correlation, seed)
            parts.append(pd.DataFrame(rows).assign(seed=seed, task=task))
    return pd.concat(parts, ignore_index=True)[COLUMNS]


@dataclass(frozen=True)
class Population:
    """Predictions of all methods for the test donors of one task.

    Attributes
    ----------
    donor
        Number of the donor of each observation.
    prior
        Share of the observation's class among the training labels.
    probability
        Probability that the probe of each method gives to the true class, by method.
    """

    donor: Int[np.ndarray, " obs"]
    prior: Float64[np.ndarray, " obs"]
    probability: Mapping[str, Float64[np.ndarray, " obs"]]

    @property
    def entropy(self) -> float:
        """Mean entropy of the labels of a donor, in bits."""
        return float(self._by_donor(-np.log2(self.prior)).mean())

    @property
    def experts(self) -> Float64[np.ndarray, "donors 2"]:
        """Usable bits of the two experts, by donor."""
        return np.stack([self._bits(self.probability[name]) for name in UNIMODAL], axis=1)

    @property
    def methods(self) -> list[str]:
        """Names of the methods that are no expert."""
        return [name for name in self.probability if name not in UNIMODAL]

    def planted(self, method: str, effect: float) -> Float64[np.ndarray, " donors"]:
        """Return bits by donor of a method whose mean gain over the better expert is the effect.

        Parameters
        ----------
        method, effect
            Name of the method, and the gain as a share of the label entropy.

        Raises
        ------
        ConfigError
            If the better expert leaves less than the effect.
        """
        goal = float(self.experts.mean(axis=0).max()) + effect * self.entropy
        if goal >= self.entropy:
            raise ConfigError(f"effects: the experts leave less than {effect:g} of the entropy")
        q = self.probability[method]
        towards = np.ones_like(q) if self._bits(q).mean() < goal else self.prior

        def mixed(share: float) -> Float64[np.ndarray, " donors"]:
            return self._bits((1 - share) * q + share * towards)

        share = brentq(lambda weight: mixed(weight).mean() - goal, 0.0, 1.0, xtol=1e-12)
        return mixed(share)

    def _bits(self, q: Float64[np.ndarray, " obs"]) -> Float64[np.ndarray, " donors"]:
        tiny = np.finfo(np.float64).tiny
        return self._by_donor(np.log2(np.maximum(q, tiny)) - np.log2(self.prior))

    def _by_donor(self, values: Float64[np.ndarray, " obs"]) -> Float64[np.ndarray, " donors"]:
        means: Float64[np.ndarray, " donors"]
        means = np.bincount(self.donor, values) / np.bincount(self.donor)
        return means


def _populations(
    config: PlantedConfig, settings: Settings, twin: DrawnTwin, seed: int
) -> dict[str, Population]:
    """Fit all methods and linear probes; return the predictions for the test donors by task."""
    paired = twin.paired
    (fold,) = paired.folds
    if missing := [task for task in config.tasks if task not in twin.tasks]:
        raise ConfigError(
            f"tasks: drawn twins have no {missing[0]!r}, only {', '.join(twin.tasks)}"
        )
    targets = task_targets(paired, {task: twin.tasks[task] for task in config.tasks})
    evaluator = FoldEvaluator(paired, targets, fold, settings.probe)
    embeddings: dict[str, Embedding] = dict(zip(UNIMODAL, paired.standardised(fold), strict=True))
    for name in settings.methods:
        embeddings[name] = fuse(name, settings, twin, int(fold.align.sum()), seed)
    of_methods = {
        name: evaluator.linear(standardised_blocks(name, z, paired, fold, seed), {}, donor=False)
        for name, z in embeddings.items()
    }
    return {
        task: _population(evaluator, task, {name: by[task] for name, by in of_methods.items()})
        for task in config.tasks
    }


def _population(
    evaluator: FoldEvaluator, task: str, predictions: Mapping[str, Prediction]
) -> Population:
    """Return the probabilities of the true classes of all labelled test observations."""
    target, probe_task = evaluator.tasks[task]
    codes = target.codes[probe_task.test]
    rows = np.flatnonzero(np.isin(codes, probe_task.present))
    column = np.searchsorted(probe_task.present, codes[rows])
    shares = np.bincount(probe_task.y) / len(probe_task.y)
    _, donor = np.unique(evaluator.paired.donor[probe_task.test[rows]], return_inverse=True)
    probability = {
        name: np.asarray(of.predicted[rows, column], dtype=np.float64)
        for name, of in predictions.items()
    }
    return Population(donor, shares[column], probability)


def _found(
    config: PlantedConfig, population: Population, correlation: float, seed: int
) -> list[dict[str, object]]:
    """Return the rows of one task: each effect planted in each method in turn."""
    methods, experts = population.methods, population.experts
    null = np.stack([population.planted(name, 0.0) for name in methods], axis=1)
    rng = stream(seed, "planted gains")
    rows: list[dict[str, object]] = []
    for donors in config.donors:
        order = rng.random((config.studies, len(experts))).argsort(axis=1)[:, :donors]
        for number, method in enumerate(methods):
            for effect in config.effects:
                scores = null.copy()
                scores[:, number] = population.planted(method, effect)
                gains = (scores[:, None] - experts[:, :, None]) / population.entropy
                power = partial(
                    detection_power, effect, donors=donors, methods=len(methods), level=SIGNIFICANCE
                )
                sd, near = _known_spread(gains, number, donors)
                promised = [
                    power(_estimated_spread(gains[of_study], number), references=len(UNIMODAL),
                          correlation=correlation)
                    for of_study in order[:_PROMISED]
                ]  # fmt: skip
                between = _correlation(gains[:, near[0]])
                rows.append(
                    {"donors": donors, "methods": len(methods), "method": method, "effect": effect,
                     "studies": config.studies, "sd": sd,
                     "power": _share_found(scores, experts, order, number),
                     "predicted_power": power(sd, references=len(near), correlation=between),
                     "promised_power": float(np.mean(promised))}
                )  # fmt: skip
    return rows


def _share_found(
    scores: Float64[np.ndarray, "population methods"],
    experts: Float64[np.ndarray, "population 2"],
    order: Int[np.ndarray, "studies donors"],
    number: int,
) -> float:
    """Return the share of studies in which the gain of one method is significant."""
    references = np.concatenate([experts, np.zeros((len(experts), 1))], axis=1)  # and chance
    differences = scores[:, None] - references[:, :, None]
    compared = np.ones(scores.shape[1], dtype=bool)
    significant = 0
    for batch in np.array_split(order, max(len(order) // _BATCH, 1)):
        of_studies = np.moveaxis(differences[batch], 2, 1)
        p = largest_p(of_studies, compared, cross_validated=False).corrected[:, number]
        significant += int((p < SIGNIFICANCE).sum())
    return significant / len(order)


def _known_spread(
    gains: Float[np.ndarray, "population 2 methods"], number: int, donors: int
) -> tuple[float, list[int]]:
    """Return the spread of a method's gain in the population, and the experts that are near.

    An expert is near if it is worse than the better one by less than the standard error of a study;
    of two near experts the larger spread counts. Better experts come first.
    """
    means = gains[:, :, number].mean(axis=0)
    sd = [_scale(gains[:, expert], number) for expert in range(len(UNIMODAL))]
    order = [int(expert) for expert in means.argsort()]
    first = order[0]
    near = [e for e in order if means[e] - means[first] < sd[first] / np.sqrt(donors)]
    return max(sd[expert] for expert in near), near


def _estimated_spread(gains: Float[np.ndarray, "donors 2 methods"], number: int) -> float:
    """Return the spread that one study estimates from its interval, as the table of limits does."""
    mean, sd = gains.mean(axis=0), gains.std(axis=0, ddof=1)
    half = stdtrit(len(gains) - 1, (1 + CONFIDENCE) / 2) / np.sqrt(len(gains))
    low, high = (mean - half * sd).min(axis=0), (mean + half * sd).min(axis=0)
    variances = ((high - low) / (2 * half)) ** 2
    return _of_variances(variances, number)


def _scale(gain: Float[np.ndarray, "donors methods"], number: int) -> float:
    return _of_variances(gain.var(axis=0, ddof=1), number)


def _of_variances(variances: Float[np.ndarray, " methods"], number: int) -> float:
    """Return the larger of a method's spread and the scale of the test, which is half pooled."""
    pooled = (variances[number] + variances.mean()) / 2
    return float(np.sqrt(max(variances[number], pooled)))


def _correlation(gain: Float[np.ndarray, "donors methods"]) -> float:
    """Return the mean correlation between the gains of two methods, rounded to a tenth."""
    if gain.shape[1] == 1:
        return 0.0
    pairs = np.corrcoef(gain.T)[np.triu_indices(gain.shape[1], 1)]
    return float(np.round(np.clip(pairs.mean(), 0, 1), 1))
