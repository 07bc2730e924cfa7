"""Labels, training label shares and posteriors of one task, for the test rows of all folds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import UNIMODAL

PAIR = "pair"  # the method of rows about the two experts together

Key = tuple[str, str]
"""Method and quantity."""


@dataclass(frozen=True)
class HeldOutPosteriors:
    """Labels and posteriors of one classification task, for labelled test rows of all folds.

    Attributes
    ----------
    y
        Class of each observation, one that the training rows of its fold have.
    donors
        Donor of each observation.
    groups
        Group of each observation that splits never divide: the donor, or the section or block of a
        single donor.
    prior
        Share of each class (observations x classes) among the training rows of the fold that tests
        the observation.
    image, expression, joint
        Posteriors (observations x classes) of the probes of each expert's embedding, and of the
        joint probe of both embeddings.
    methods
        Posteriors of the probes of other representations, by method.
    probes
        Name of the probe of each posterior, with the keys of `posteriors`.
    cross_validated
        Whether each group was held out in turn, which widens intervals (`scoring.inference`).
    """

    y: Int[np.ndarray, " _"]
    donors: Shaped[np.ndarray, " _"]
    groups: Shaped[np.ndarray, " _"]
    prior: Float[np.ndarray, "_ _"]
    image: Float[np.ndarray, "_ _"]
    expression: Float[np.ndarray, "_ _"]
    joint: Float[np.ndarray, "_ _"]
    methods: Mapping[str, Float[np.ndarray, "_ _"]]
    probes: Mapping[Key, str]
    cross_validated: bool

    @property
    def posteriors(self) -> dict[Key, Float[np.ndarray, "_ _"]]:
        """All posteriors, by method and by the quantity estimated from them."""
        pair = {(PAIR, f"I_{name}"): getattr(self, name) for name in (*UNIMODAL, "joint")}
        return pair | {(name, "I"): posterior for name, posterior in self.methods.items()}

    def check(self) -> None:
        """Refuse labels, shares and posteriors that cannot be decomposed.

        Raises
        ------
        DataError
            If arrays differ in length, a label is no class or has no training share, rows of the
            shares or of a posterior are no probabilities, groups are not the donors, or there is
            only one class or one group.
        """
        n_obs, classes = self.image.shape
        for name in ("y", "donors", "groups"):
            if (length := len(getattr(self, name))) != n_obs:
                raise DataError(
                    f"{name} has {length} observations, the image posterior {n_obs}: match them"
                )
        if n_obs == 0 or self.y.min() < 0 or self.y.max() >= classes:
            raise DataError(f"y: give labelled observations, of classes 0 to {classes - 1} only")
        for what, names in (("class", self.y), ("group", self.groups)):
            if len(values := np.unique(names)) < 2:  # noqa: PLR2004 - an estimate needs two of both
                raise DataError(f"observations of one {what} only ({values[0]}): drop the task")
        donors = len(np.unique(self.donors))
        if donors > 1 and len(set(zip(self.donors, self.groups, strict=True))) != donors:
            raise DataError(f"groups: not the {donors} donors; sections count only if of one donor")
        named = {
            f"posterior {what} of {method}": p for (method, what), p in self.posteriors.items()
        }
        for name, table in {"prior": self.prior, **named}.items():
            _check_probabilities(name, table, (n_obs, classes))
        unseen = self.prior[np.arange(n_obs), self.y] <= 0
        if unseen.any():
            raise DataError(
                f"y: observation {unseen.argmax()} is of class {self.y[unseen.argmax()]}, which no "
                "training row of its fold has: leave it out"
            )


def _check_probabilities(
    name: str, table: Float[np.ndarray, "_ _"], shape: tuple[int, int]
) -> None:
    """Refuse a table of another shape, or with rows that are no probabilities."""
    if table.shape != shape:
        raise DataError(f"{name}: shape {table.shape}, the image has {shape}")
    unnormalised = abs(table.sum(axis=1) - 1) > shape[1] / 255
    if (invalid := unnormalised | ~(table >= 0).all(axis=1)).any():
        raise DataError(
            f"{name}: observation {invalid.argmax()} has no probabilities that sum to one; "
            "probe it again"
        )
