"""Spatial consistency: whether a representation knows which units lie close together.

Pairs of units of one section: a close one is a unit and one of its nearest, a far one is farther
apart than most of the section's pairs; equally many of both. A linear probe sees each feature's
product and absolute difference, with which it can express similarity, and is judged on donors that
it has not seen.
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
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import Answer, Chosen, Question
from cell_synergy.downstream.spatial.config import ConsistencyConfig
from cell_synergy.downstream.spatial.graph import nearest
from cell_synergy.downstream.spatial.layout import CONSISTENCY

_PLENTY = 4  # times the nearest: units under which a section has no far pairs
_DRAWN = 20_000  # pairs that show how far a section's units are apart
_CLASSES = 2


@dataclass(frozen=True)
class Pairs:
    """Pairs of units.

    Attributes
    ----------
    first, second
        Rows of the units.
    close
        Whether they lie close together.
    """

    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]
    close: Bool[np.ndarray, " pairs"]


def draw(
    spatial: Float[np.ndarray, "obs 2"],
    sections: Shaped[np.ndarray, " obs"],
    settings: ConsistencyConfig,
    seed: int,
) -> Pairs:
    """Draw pairs of each section, the same whatever other sections there are.

    Sections with too few units to have far pairs have none.

    Parameters
    ----------
    spatial
        Places.
    sections
        Section of each unit.
    settings
        How near, how far, how many.
    seed
        Of the random streams, one per section.
    """
    first, second, close = [], [], []
    for name in np.unique(sections):
        own = np.flatnonzero(sections == name)
        if len(own) < _PLENTY * settings.nearest:
            continue
        random = stream(seed, "spatial", str(name))
        for kind, pairs in (
            (True, _close(spatial[own], settings, random)),
            (False, _far(spatial[own], settings, random)),
        ):
            first.append(own[pairs[0]])
            second.append(own[pairs[1]])
            close.append(np.full(len(pairs[0]), kind))
    nothing = [np.zeros(0, dtype=np.int64)]
    joined = [np.concatenate(parts or nothing) for parts in (first, second, close)]
    return Pairs(joined[0], joined[1], joined[2].astype(bool))


def features(
    z: Float32[np.ndarray, "obs d"], pairs: Pairs
) -> Float32[np.ndarray, "pairs features"]:
    """Return what a probe sees of each pair: product and absolute difference of each feature."""
    first, second = z[pairs.first], z[pairs.second]
    return np.concatenate([first * second, abs(first - second)], axis=1)


class PairQuestion:
    """Which pairs of one fold's test units are close, learnt from pairs of the training units.

    Attributes
    ----------
    asked
        The question; its rows are pairs. None if there are no pairs to learn from, or to judge by.
    """

    def __init__(self, pairs: Pairs, paired: PairedDataset, fold: Fold, probe: ProbeConfig) -> None:
        self.pairs, self.paired, self.fold, self.probe = pairs, paired, fold, probe
        self.train, self.test = fold.probe[pairs.first], fold.test[pairs.first]
        self.asked = self._ask() if self.train.any() and self.test.any() else None

    def _ask(self) -> Question:
        train, test = np.flatnonzero(self.train), np.flatnonzero(self.test)
        units = self.pairs.first[train]
        spatial = self.paired.adata.obsm["spatial"][units]
        inner = inner_folds(self.paired.groups[units], spatial, self.probe.inner_folds)
        y = self.pairs.close[train].astype(np.int64)
        return Question(train, inner, test, np.arange(_CLASSES), y)

    def scores(
        self, z: Float32[np.ndarray, "obs d"], chosen: dict[str, Chosen]
    ) -> Iterator[dict[str, object]]:
        """Yield one row per metric and test donor; the penalty is chosen unless it is known.

        Parameters
        ----------
        z
            Standardised representation of all units.
        chosen
            Penalty of the task, which is added if it is not there.
        """
        if self.asked is None:
            return
        seen, groups = features(z, self.pairs), self.paired.groups[self.pairs.first]
        linear = LinearProbe(standardise(seen, self.train, groups, "train"), self.probe)
        if CONSISTENCY not in chosen:
            chosen[CONSISTENCY] = linear.choose(self.asked)
        answer = linear.answer(self.asked, chosen[CONSISTENCY])
        fit = {"gradient_norm": answer.gradient_norm, "iterations": answer.iterations}
        for row in self._by_donor(self.asked, answer):
            yield {**row, **vars(answer.chosen), **fit}

    def _by_donor(self, asked: Question, answer: Answer) -> Iterator[dict[str, object]]:
        donors = self.paired.donor[self.pairs.first[asked.test]]
        close, said = self.pairs.close[asked.test], answer.predicted[:, 1]
        place = {"task": CONSISTENCY, "fold": self.fold.name, "classes": _CLASSES}
        for donor in np.unique(donors):
            own = donors == donor
            row = {**place, "donor": donor, "n": int(own.sum())}
            for metric, value in score(close[own], said[own]).items():
                yield {**row, "metric": metric, "value": value}


def score(close: Bool[np.ndarray, " pairs"], said: Float[np.ndarray, " pairs"]) -> dict[str, float]:
    """Return `f1` of the close pairs, `accuracy` and `roc_auc` of the probabilities to be close."""
    called = said > 1 / _CLASSES
    near, far = said[close], np.sort(said[~close])
    below = (np.searchsorted(far, near) + np.searchsorted(far, near, side="right")) / 2
    right, some = int(called[close].sum()), int(called.sum()) + len(near)
    return {
        "f1": 2 * right / some if some else float("nan"),
        "accuracy": float((called == close).mean()),
        "roc_auc": float(below.mean() / len(far)),
    }


def _close(
    spatial: Float[np.ndarray, "obs 2"], settings: ConsistencyConfig, random: np.random.Generator
) -> Int[np.ndarray, "2 pairs"]:
    everyone = np.resize(np.arange(len(spatial)), max(settings.pairs, len(spatial)))
    first = random.permutation(everyone)[: settings.pairs]
    which = random.integers(settings.nearest, size=settings.pairs)
    return np.stack([first, nearest(spatial, settings.nearest)[1][first, which]])


def _far(
    spatial: Float[np.ndarray, "obs 2"], settings: ConsistencyConfig, random: np.random.Generator
) -> Int[np.ndarray, "2 pairs"]:
    """Draw random pairs, and keep the first that lie beyond the quantile of all drawn."""
    first = random.integers(len(spatial), size=_DRAWN)
    second = (first + random.integers(1, len(spatial), size=_DRAWN)) % len(spatial)
    apart = ((spatial[first] - spatial[second]) ** 2).sum(axis=1)
    far = np.flatnonzero(apart > np.quantile(apart, settings.farthest))[: settings.pairs]
    return np.stack([first[far], second[far]])
