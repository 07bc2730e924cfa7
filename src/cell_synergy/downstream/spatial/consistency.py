"""Spatial consistency: whether close and far pairs of observations differ in a representation.

Both observations of a pair are in one section. A close pair is an observation and one of its
nearest neighbours; a far pair is farther apart than most of the section's pairs. As many pairs of
each kind are drawn. A linear probe is fitted to the product and the absolute difference of each
feature, which can express similarity, and is tested on held-out donors.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Shaped

from cell_synergy.core.random import stream
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.splits import Fold, inner_folds
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.feature_blocks import Embedding, as_blocks
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.metrics import label_entropy
from cell_synergy.downstream.probes.scorers import Scorer, Scores, scores_by_donor
from cell_synergy.downstream.probes.tasks import ProbeTask, Selection
from cell_synergy.downstream.spatial.config import CONSISTENCY, ConsistencyConfig
from cell_synergy.downstream.spatial.graph import nearest_neighbours

_MIN_SIZE = 4  # minimal number of observations in a section, per nearest neighbour
_SAMPLE = 20_000  # random pairs from which the distribution of distances is estimated
_CLASSES = 2


@dataclass(frozen=True)
class PairSample:
    """Close and far pairs of observations.

    Attributes
    ----------
    first, second
        Indices of the two observations of each pair.
    close
        Whether the pair is a close one.
    """

    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]
    close: Bool[np.ndarray, " pairs"]


def sample_pairs(
    coords: Float[np.ndarray, "obs 2"],
    sections: Shaped[np.ndarray, " obs"],
    settings: ConsistencyConfig,
    seed: int,
) -> PairSample:
    """Draw close and far pairs of each section, independently of other sections.

    Sections with fewer than four times `settings.nearest` observations have no pairs.

    Parameters
    ----------
    coords
        Coordinates, in any unit.
    sections
        Section of each observation.
    settings
        Definition and number of close and far pairs.
    seed
        Seed of the random streams, one per section.
    """
    first, second, close = [], [], []
    for name in np.unique(sections):
        rows = np.flatnonzero(sections == name)
        if len(rows) < _MIN_SIZE * settings.nearest:
            continue
        random = stream(seed, "spatial", str(name))
        for is_close, pairs in (
            (True, _close_pairs(coords[rows], settings, random)),
            (False, _far_pairs(coords[rows], settings, random)),
        ):
            first.append(rows[pairs[0]])
            second.append(rows[pairs[1]])
            close.append(np.full(len(pairs[0]), is_close))
    empty = [np.zeros(0, dtype=np.int64)]
    joined = [np.concatenate(parts or empty) for parts in (first, second, close)]
    return PairSample(joined[0], joined[1], joined[2].astype(bool))


def pair_features(
    z: Float32[np.ndarray, "obs d"], pairs: PairSample
) -> Float32[np.ndarray, "pairs features"]:
    """Return the features of pairs: products of both observations, then absolute differences.

    Parameters
    ----------
    z
        Representation of all observations, with d features.
    pairs
        Pairs of observations, one per row of the result, which has 2 d features.
    """
    first, second = z[pairs.first], z[pairs.second]
    return np.concatenate([first * second, abs(first - second)], axis=1)


class PairTask:
    """Classification of one fold's pairs as close or far, trained on pairs of training donors.

    Parameters
    ----------
    pairs
        Close and far pairs of observations.
    paired, fold
        The data set and one of its folds.
    probe
        Configuration of the probes.

    Attributes
    ----------
    probe_task
        The train/test problem, whose rows are pairs. None without training or without test pairs.
    """

    def __init__(
        self, pairs: PairSample, paired: PairedDataset, fold: Fold, probe: ProbeConfig
    ) -> None:
        self.pairs, self.paired, self.fold, self.probe = pairs, paired, fold, probe
        self.train, self.test = fold.probe[pairs.first], fold.test[pairs.first]
        self.probe_task = self._problem() if self.train.any() and self.test.any() else None

    def _problem(self) -> ProbeTask:
        train, test = np.flatnonzero(self.train), np.flatnonzero(self.test)
        rows = self.pairs.first[train]
        coords = self.paired.adata.obsm["spatial"][rows]
        cv = inner_folds(self.paired.groups[rows], coords, self.probe.inner_folds)
        y = self.pairs.close[train].astype(np.int64)
        return ProbeTask(train, cv, test, np.arange(_CLASSES), y)

    def scores(
        self, embedding: Embedding, selections: dict[str, Selection]
    ) -> Iterator[dict[str, object]]:
        """Yield the scores of a linear probe of pairs, one dictionary per metric and test donor.

        There are none if the fold has no training or no test pairs.

        Parameters
        ----------
        embedding
            Standardised features of all observations.
        selections
            Selected penalty by task. Changed in place: a missing penalty of `CONSISTENCY` is
            selected by inner cross-validation and added.
        """
        if self.probe_task is None:
            return
        groups = self.paired.groups[self.pairs.first]
        features = [pair_features(block, self.pairs) for block in as_blocks(embedding)]
        standardised = [standardise(x, self.train, groups, "train") for x in features]
        linear = LinearProbe(standardised, self.probe)
        if CONSISTENCY not in selections:
            selections[CONSISTENCY] = linear.select(self.probe_task)
        prediction = linear.predict(self.probe_task, selections[CONSISTENCY])
        share, donor = float(self.probe_task.y.mean()), self.paired.donor[self.pairs.first]
        scorer, every = _pair_scorer(self.pairs.close, share), np.ones(len(donor), dtype=bool)
        key = {"task": CONSISTENCY, "fold": self.fold.name}
        for row in scores_by_donor(scorer, self.probe_task, prediction, donor, every):
            yield key | row


def _pair_scorer(close: Bool[np.ndarray, " pairs"], share: float) -> Scorer:
    """Return the function that scores predictions, given the share of close pairs in training."""
    prior = np.array([1 - share, share])
    chance = {"f1": 1 / _CLASSES, "accuracy": float(prior.max()), "roc_auc": 1 / _CLASSES}

    def score(
        rows: Int[np.ndarray, " rows"], predicted: Float[np.ndarray, "rows outputs"]
    ) -> Scores:
        entropy = label_entropy(close[rows].astype(np.int64), prior)
        return Scores(pair_scores(close[rows], predicted[:, 1]), chance, entropy, _CLASSES)

    return score


def pair_scores(
    close: Bool[np.ndarray, " pairs"], probability: Float[np.ndarray, " pairs"]
) -> dict[str, float]:
    """Score predicted probabilities that pairs of observations are close.

    Parameters
    ----------
    close
        Whether each pair is close.
    probability
        Predicted probability that the pair is close; above 0.5 it is classified as close.

    Returns
    -------
    :
        `f1` of the class of close pairs, `accuracy`, and `roc_auc`.
    """
    predicted = probability > 1 / _CLASSES
    near, far = probability[close], np.sort(probability[~close])
    rank = (np.searchsorted(far, near) + np.searchsorted(far, near, side="right")) / 2
    true_positives = int(predicted[close].sum())
    positives = int(predicted.sum()) + len(near)
    return {
        "f1": 2 * true_positives / positives if positives else float("nan"),
        "accuracy": float((predicted == close).mean()),
        "roc_auc": float(rank.mean() / len(far)),
    }


def _close_pairs(
    coords: Float[np.ndarray, "obs 2"], settings: ConsistencyConfig, random: np.random.Generator
) -> Int[np.ndarray, "2 pairs"]:
    """Draw observations as evenly as possible, and one of the nearest neighbours of each."""
    rows = np.resize(np.arange(len(coords)), max(settings.pairs, len(coords)))
    first = random.permutation(rows)[: settings.pairs]
    neighbour = random.integers(settings.nearest, size=settings.pairs)
    return np.stack([first, nearest_neighbours(coords, settings.nearest)[1][first, neighbour]])


def _far_pairs(
    coords: Float[np.ndarray, "obs 2"], settings: ConsistencyConfig, random: np.random.Generator
) -> Int[np.ndarray, "2 pairs"]:
    """Draw random pairs, and return the first ones whose distance is above the quantile."""
    first = random.integers(len(coords), size=_SAMPLE)
    second = (first + random.integers(1, len(coords), size=_SAMPLE)) % len(coords)
    squared = ((coords[first] - coords[second]) ** 2).sum(axis=1)
    far = np.flatnonzero(squared > np.quantile(squared, settings.farthest))[: settings.pairs]
    return np.stack([first[far], second[far]])
