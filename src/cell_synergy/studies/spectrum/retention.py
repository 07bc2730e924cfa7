"""What a joint embedding keeps: of what both experts show, and of what one alone shows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import Chosen, Goal, Question, ask
from cell_synergy.studies.spectrum.correlations import Shared, Within, within

SHARED, IMAGE, EXPRESSION = "shared", "unique_image", "unique_expression"


@dataclass(frozen=True)
class Target:
    """Values that a linear reader should find in a joint embedding.

    Attributes
    ----------
    values
        Of all units, of mean 0 in each donor.
    weights
        Of each column in the share that is kept.
    """

    values: Float64[np.ndarray, "obs columns"]
    weights: Float64[np.ndarray, " columns"]


def targets(shared: Shared, pairs: Within, axes: int) -> dict[str, Target]:
    """Return what both embeddings share, and what each has for itself.

    Parameters
    ----------
    shared
        Directions learnt from the training pairs.
    pairs
        All units, those of test donors too: targets are what is asked for, like labels.
    axes
        Leading principal axes, of which what is unique to an embedding is made up.

    Returns
    -------
    :
        `shared`: of each direction the sum of both variates, which is the best linear guess of what
        they share, weighted by the squared correlation; absent without a direction.
        `unique_image`, `unique_expression`: coordinates along the leading principal axes, less
        what the variates of both sides say of them; weighted by their variance.
    """
    first, second = pairs.image @ shared.image, pairs.expression @ shared.expression
    found = {SHARED: Target(first + second, shared.correlations**2)} if first.size else {}
    known = np.concatenate([first, second], axis=1)
    sides = {IMAGE: pairs.image, EXPRESSION: pairs.expression}
    return found | {name: _rest(x, known, axes) for name, x in sides.items()}


def _rest(
    x: Float64[np.ndarray, "obs d"], known: Float64[np.ndarray, "obs k"], axes: int
) -> Target:
    _, vectors = np.linalg.eigh(x.T @ x)
    leading = x @ vectors[:, ::-1][:, :axes]
    rest = leading - known @ np.linalg.lstsq(known, leading, rcond=None)[0]
    return Target(rest, rest.var(axis=0))


class Reader:
    """Linear readers of one fold's targets; penalties are chosen with the first embedding shown."""

    def __init__(
        self, paired: PairedDataset, fold: Fold, wanted: Mapping[str, Target], probe: ProbeConfig
    ) -> None:
        self.paired, self.fold, self.wanted, self.probe = paired, fold, wanted, probe
        everyone = np.ones(len(paired.donor), dtype=bool)
        nothing = np.full(len(everyone), -1)
        goals = {n: Goal(n, everyone, nothing, (), t.values) for n, t in wanted.items()}
        self.asked: dict[str, Question] = {
            name: ask(goal, fold, paired, probe.inner_folds) for name, goal in goals.items()
        }

    def kept(
        self, z: Float[np.ndarray, "obs d"], chosen: dict[str, Chosen]
    ) -> dict[str, dict[str, float]]:
        """Return the share of each target that test donors' joint embeddings show, within donors.

        It is 1 less the squared error over the spread, the columns weighted: 1 if all is kept, 0 if
        nothing is, and below where the reader misleads. Penalties not in `chosen` are added.
        """
        paired, test = self.paired, self.fold.test
        centred = within(z, paired.donor).astype(np.float32)
        scaled = standardise(centred, self.fold.align, paired.groups, "train")
        linear, found = LinearProbe(scaled, self.probe), {}
        for name, question in self.asked.items():
            if name not in chosen:
                chosen[name] = linear.choose(question)
            values, target = linear.answer(question, chosen[name]).predicted, self.wanted[name]
            donors, true = paired.donor[test], target.values[test]
            found[name] = {
                str(donor): _explained(
                    true[donors == donor], values[donors == donor], target.weights
                )
                for donor in np.unique(donors)
            }
        return found


def _explained(
    true: Float64[np.ndarray, "obs k"],
    said: Float[np.ndarray, "obs k"],
    weights: Float64[np.ndarray, " k"],
) -> float:
    said = said - said.mean(axis=0)
    spread = (true**2).sum(axis=0)
    errors = ((true - said) ** 2).sum(axis=0)
    explained = 1 - errors / np.where(spread > 0, spread, 1)
    return float((weights * explained)[spread > 0].sum() / weights[spread > 0].sum())
