"""How much of the shared and unique content of two embeddings a joint embedding retains."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.feature_blocks import Embedding, as_blocks
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import ProbeTask, Selection, Target, make_probe_task
from cell_synergy.studies.spectrum.correlations import (
    CentredPairs,
    SharedDirections,
    centre_within_donors,
)

SHARED, IMAGE, EXPRESSION = "shared", "unique_image", "unique_expression"


@dataclass(frozen=True)
class RetentionTarget:
    """Values that a linear probe predicts from a joint embedding.

    Attributes
    ----------
    values
        Values of all observations, with mean 0 in each donor.
    weights
        Weight of each column in the explained share.
    """

    values: Float64[np.ndarray, "obs columns"]
    weights: Float64[np.ndarray, " columns"]


def retention_targets(
    shared: SharedDirections, pairs: CentredPairs, axes: int
) -> dict[str, RetentionTarget]:
    """Return the shared content of both embeddings, and the unique content of each.

    Parameters
    ----------
    shared
        Canonical directions of the training pairs.
    pairs
        All pairs, those of test donors too: targets are never inputs of a probe.
    axes
        Number of leading principal axes that the unique content is restricted to.

    Returns
    -------
    :
        Targets by name. `shared`: for each direction the sum of both modalities' variates, the best
        linear estimate of their common signal, weighted by the squared correlation; absent if there
        are no directions. `unique_image`, `unique_expression`: coordinates of the embedding along
        its leading principal axes minus their regression on the variates of both modalities,
        weighted by the variances of these residuals.
    """
    first, second = pairs.image @ shared.image, pairs.expression @ shared.expression
    variates = np.concatenate([first, second], axis=1)
    modalities = {IMAGE: pairs.image, EXPRESSION: pairs.expression}
    unique = {name: _residual(x, variates, axes) for name, x in modalities.items()}
    if not first.size:
        return unique
    return {SHARED: RetentionTarget(first + second, shared.correlations**2)} | unique


def _residual(
    x: Float64[np.ndarray, "obs d"], variates: Float64[np.ndarray, "obs k"], axes: int
) -> RetentionTarget:
    """Return the leading principal coordinates of `x` minus their regression on the variates."""
    _, vectors = np.linalg.eigh(x.T @ x)
    leading = x @ vectors[:, ::-1][:, :axes]
    residual = leading - variates @ np.linalg.lstsq(variates, leading, rcond=None)[0]
    return RetentionTarget(residual, residual.var(axis=0))


class RetentionProbe:
    """Linear probes of shared and unique content on one fold.

    Parameters
    ----------
    paired, fold
        The data set and one of its folds.
    target_values
        Targets by name, as `retention_targets` returns them.
    probe
        Configuration of the probes.
    """

    def __init__(
        self,
        paired: PairedDataset,
        fold: Fold,
        target_values: Mapping[str, RetentionTarget],
        probe: ProbeConfig,
    ) -> None:
        self.paired, self.fold, self.targets, self.probe = paired, fold, target_values, probe
        labelled = np.ones(len(paired.donor), dtype=bool)
        no_codes = np.full(len(labelled), -1)
        targets = {n: Target(n, labelled, no_codes, (), t.values) for n, t in target_values.items()}
        self.tasks: dict[str, ProbeTask] = {
            name: make_probe_task(target, fold, paired, probe.inner_folds)
            for name, target in targets.items()
        }

    def explained(
        self, embedding: Embedding, selections: dict[str, Selection]
    ) -> dict[str, dict[str, float]]:
        """Return the explained variance of each target within each test donor.

        The explained variance is 1 minus the squared error over the sum of squares, averaged over
        columns with the weights of the target: 1 if the target is fully retained, 0 if not at all,
        and negative if predictions are worse than the donor's mean.

        Parameters
        ----------
        embedding
            Joint embedding of all observations; it is centred within donors and standardised.
        selections
            Selected penalty by target. Changed in place: missing penalties are selected by inner
            cross-validation and added.

        Returns
        -------
        :
            `{target: {donor: explained variance}}`.
        """
        paired, test = self.paired, self.fold.test
        centred = [
            centre_within_donors(block, paired.donor).astype(np.float32)
            for block in as_blocks(embedding)
        ]
        scaled = [standardise(z, self.fold.align, paired.groups, "train") for z in centred]
        linear, shares = LinearProbe(scaled, self.probe), {}
        donors = paired.donor[test]
        for name, task in self.tasks.items():
            if name not in selections:
                selections[name] = linear.select(task)
            predicted, target = linear.predict(task, selections[name]).predicted, self.targets[name]
            values = target.values[test]
            shares[name] = {
                str(donor): _explained_share(
                    values[donors == donor], predicted[donors == donor], target.weights
                )
                for donor in np.unique(donors)
            }
        return shares


def _explained_share(
    values: Float64[np.ndarray, "obs k"],
    predicted: Float[np.ndarray, "obs k"],
    weights: Float64[np.ndarray, " k"],
) -> float:
    predicted = predicted - predicted.mean(axis=0)
    total = (values**2).sum(axis=0)
    errors = ((values - predicted) ** 2).sum(axis=0)
    explained = 1 - errors / np.where(total > 0, total, 1)
    return float((weights * explained)[total > 0].sum() / weights[total > 0].sum())
