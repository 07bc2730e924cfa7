"""Decomposition of the information of two modalities about a label, estimated from probes.

Each embedding is represented by the posteriors that probes predict from it for held-out donors.
Every term uses one estimate of information: the gain in log-likelihood of a recalibrated
posterior [1]_ over the class shares [2]_. Recalibration and shares are both fitted on other donors,
so that the gain of a posterior without information is 0. The gain is multiplied by H(Y) over the
log-loss of the shares, so that a posterior that is always right gains H(Y) even if donors differ in
their shares. Donors have equal weights, however many observations they have.

The unimodal posteriors determine the tables p(z1, y) and p(z2, y), from which BROJA computes the
redundant and unique information. Observations are clustered by their posteriors [3]_, and the table
of clusters and classes is tempered to the estimated information: this compensates the loss by
clustering, and R + U1 = I(Y; Z1). The unimodal posteriors do not determine the synergy: it is the
information of a joint, nonlinear probe of both embeddings beyond R + U1 + U2. A method's certified
synergy is the information of its representation beyond them.

References
----------
.. [1] Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017; here
   one temperature for all classes and an offset for each.
.. [2] Xu, Zhao, Song, Stewart and Ermon, "A theory of usable information under computational
   constraints", ICLR 2020.
.. [3] Dhillon, Mallela and Kumar, "A divisive information-theoretic feature clustering algorithm
   for text classification", Journal of Machine Learning Research 3, 2003.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int, Int64, Shaped
from pydantic import Field
from scipy.special import entr

from cell_synergy.core.config import Config
from cell_synergy.core.errors import DataError
from cell_synergy.core.names import UNIMODAL
from cell_synergy.downstream.information.clustering import cluster_posteriors, temper_to_information
from cell_synergy.downstream.information.recalibration import equal_weights, recalibrate
from cell_synergy.pid.broja import BrojaSolution, solve_broja
from cell_synergy.pid.discrete import mutual_information
from cell_synergy.scoring.inference import MIN_DONORS, inflation, jackknife_t, not_testable

_Key = tuple[str, str]  # method and quantity

PAIR = "pair"  # the method of rows about the two experts together
COLUMNS = ["method", "quantity", "bits", "low", "high", "n_donors", "note"]

_NONNEGATIVE = ["R", "U_image", "U_expression", "certified_synergy"]
_FROM_CLUSTERS = [*_NONNEGATIVE, "S"]
_MAX_SHORTFALL = 1e-3  # bits by which a tempered table may miss its information without a note


class InformationConfig(Config):
    """Configuration of the information decomposition.

    Attributes
    ----------
    cells
        Maximal number of clusters of one modality's posteriors.
    """

    cells: Annotated[int, Field(ge=2)]


@dataclass(frozen=True)
class HeldOutPosteriors:
    """Labels and posteriors of one classification task, for labelled test rows of all folds.

    Attributes
    ----------
    y
        Class of each observation.
    donors
        Donor of each observation.
    groups
        Group of each observation that splits never divide: the donor, or the section or block of a
        single donor.
    image, expression, joint
        Posteriors (observations x classes) of the probes of each expert's embedding, and of the
        joint probe of both embeddings.
    methods
        Posteriors of the probes of other representations, by method.
    cross_validated
        Whether each group was held out in turn, which widens intervals (`scoring.inference`).
    """

    y: Int[np.ndarray, " _"]
    donors: Shaped[np.ndarray, " _"]
    groups: Shaped[np.ndarray, " _"]
    image: Float[np.ndarray, "_ _"]
    expression: Float[np.ndarray, "_ _"]
    joint: Float[np.ndarray, "_ _"]
    methods: Mapping[str, Float[np.ndarray, "_ _"]]
    cross_validated: bool

    @property
    def posteriors(self) -> dict[_Key, Float[np.ndarray, "_ _"]]:
        """All posteriors, by method and by the quantity estimated from them."""
        pair = {(PAIR, f"I_{name}"): getattr(self, name) for name in (*UNIMODAL, "joint")}
        return pair | {(name, "I"): posterior for name, posterior in self.methods.items()}


def decompose(held_out: HeldOutPosteriors, max_clusters: int) -> pd.DataFrame:
    """Return the information decomposition of one task, and the information of every method.

    Parameters
    ----------
    held_out
        Labels and posteriors of the task.
    max_clusters
        Maximal number of clusters of one modality's posteriors.

    Returns
    -------
    :
        One row per method and quantity, with the columns `COLUMNS`. For both experts (`PAIR`):
        `I_image`, `I_expression`, `I_joint`; `H`, the entropy of the labels; the parts `R`,
        `U_image`, `U_expression` and `S`, which is negative if the joint probe has less information
        than the experts' parts; `lost_image` and `lost_expression`, the information of a posterior
        that clustering loses before tempering. For a method: `I`; `complementarity`, its excess
        over the better expert's I; `certified_synergy`, its excess over R + U1 + U2, at least 0.

        `low, high` are 95 % jackknife t intervals over donors, with probes, recalibration and
        clusters unchanged, not below 0 for R, U and `certified_synergy`. Under five donors there
        are none, and `note` gives the reason.

    Raises
    ------
    DataError
        If arrays differ in length, a label is no class, rows of a posterior are no probabilities,
        groups are not the donors, or there is only one class or one group.
    """
    _check(held_out)
    estimate = _Estimate.of(held_out, max_clusters)
    groups = np.arange(len(estimate.loss))
    bits = estimate.quantities(groups)
    table = pd.Series(bits).rename_axis(["method", "quantity"]).reset_index(name="bits")
    table[["low", "high"]] = np.nan
    donors = len(np.unique(held_out.donors))
    if donors >= MIN_DONORS:
        note = "the same without any donor: no interval"
        replicates = [list(estimate.quantities(np.delete(groups, g)).values()) for g in groups]
        interval = jackknife_t(table["bits"].to_numpy(), np.array(replicates))
        interval = interval.widened(
            np.sqrt(inflation(donors, cross_validated=held_out.cross_validated))
        )
        table["low"], table["high"] = interval.low, interval.high
    else:
        note = not_testable(donors)
    table["note"] = np.where(table["low"].isna(), note, "")
    losses = estimate.quantization_losses()
    if shortfalls := "; ".join(filter(None, losses["note"])):
        table.loc[table["quantity"].isin(_FROM_CLUSTERS), "note"] = shortfalls
    rows, columns = table["quantity"].isin(_NONNEGATIVE), ["bits", "low", "high"]
    table.loc[rows, columns] = table.loc[rows, columns].clip(lower=0)
    table = pd.concat([table, losses], ignore_index=True)
    return table.assign(n_donors=donors)[COLUMNS]


@dataclass(frozen=True)
class _Estimate:
    """Statistics of each group; quantities are computed from means over groups.

    Attributes
    ----------
    loss
        Log-loss, in bits, of the class shares of the other groups.
    shares
        Share of each class.
    gains
        Gain in log-likelihood, in bits, of recalibrated posteriors over the shares of the other
        groups.
    tables
        Joint probabilities of clusters and classes, of the image and of the expression.
    quantization_loss
        Bits lost by clustering the posteriors, of the image and of the expression.
    """

    loss: Float64[np.ndarray, " groups"]
    shares: Float64[np.ndarray, "groups classes"]
    gains: dict[_Key, Float64[np.ndarray, " groups"]]
    tables: dict[str, Float64[np.ndarray, "groups _ classes"]]
    quantization_loss: dict[str, float]

    @classmethod
    def of(cls, held_out: HeldOutPosteriors, max_clusters: int) -> "_Estimate":
        """Recalibrate the posteriors of the classes that occur, and cluster the observations."""
        classes, y = np.unique(held_out.y, return_inverse=True)
        names, groups = np.unique(held_out.groups, return_inverse=True)
        onehot = np.eye(len(classes))[y]
        weights = equal_weights(groups)
        means = len(names) * weights * (groups == np.arange(len(names))[:, None])
        chance = (recalibrate(np.ones_like(onehot), y, groups) * onehot).sum(axis=1) / np.log(2)
        gains, tables, losses = {}, {}, {}
        for key, posterior in held_out.posteriors.items():
            log_p = recalibrate(posterior[:, classes], y, groups)
            gains[key] = means @ ((log_p * onehot).sum(axis=1) / np.log(2) - chance)
            if (expert := key[1].removeprefix("I_")) in UNIMODAL:
                p = np.exp(log_p)
                cluster = cluster_posteriors(p, weights, max_clusters)
                parts = [means * (cluster == number) @ p for number in range(cluster.max() + 1)]
                tables[expert] = np.stack(parts, axis=1)
                joint, clustered = weights[:, None] * p, tables[expert].mean(axis=0)
                losses[expert] = mutual_information(joint) - mutual_information(clustered)
        return cls(-means @ chance, means @ onehot, gains, tables, losses)

    @cached_property
    def broja(self) -> BrojaSolution:
        """BROJA solution for the experts' tempered tables, from all groups."""
        groups = np.arange(len(self.loss))
        first, second = self._tempered_tables(groups).values()
        both = np.einsum("ay,by->aby", first, second / second.sum(axis=0))
        return solve_broja(both / both.sum())

    def quantities(self, groups: Int64[np.ndarray, " some"]) -> dict[_Key, float]:
        """Return every quantity estimated from some groups; certified synergy is not clipped.

        R + U1 + U2 is extrapolated to first order from the BROJA solution of all groups, and
        clipped to its theoretical bounds.
        """
        bits, tables = self._bits(groups), self._tempered_tables(groups)
        first, second = (mutual_information(table) for table in tables.values())
        bound = self.broja.bound(*tables.values())
        union = max(first, second, min(first + second, bound))  # R + U1 + U2
        pair = {"H": self._entropy(groups), "R": first + second - union}
        pair |= {"U_image": union - second, "U_expression": union - first}
        pair["S"] = bits[PAIR, "I_joint"] - union
        best = max(bits[PAIR, f"I_{expert}"] for expert in UNIMODAL)
        for method, quantity in list(bits):
            if quantity == "I":
                bits[method, "complementarity"] = bits[method, "I"] - best
                bits[method, "certified_synergy"] = bits[method, "I"] - union
        return bits | {(PAIR, name): value for name, value in pair.items()}

    def quantization_losses(self) -> pd.DataFrame:
        """Return the bits lost by clustering, with a note if tempering does not restore them."""
        groups = np.arange(len(self.loss))
        bits, rows = self._bits(groups), []
        for expert, table in self._tempered_tables(groups).items():
            estimated, tempered = bits[PAIR, f"I_{expert}"], mutual_information(table)
            note = ""
            if estimated - tempered > _MAX_SHORTFALL:
                note = f"cells hold {tempered:.3f} of {estimated:.3f} bits: raise information.cells"
            rows.append([PAIR, f"lost_{expert}", self.quantization_loss[expert], note])
        return pd.DataFrame(rows, columns=["method", "quantity", "bits", "note"])

    def _entropy(self, groups: Int64[np.ndarray, " some"]) -> float:
        return float(entr(self.shares[groups].mean(axis=0)).sum() / np.log(2))

    def _bits(self, groups: Int64[np.ndarray, " some"]) -> dict[_Key, float]:
        """Return the information of each posterior in some groups."""
        scale = self._entropy(groups) / self.loss[groups].mean()
        return {key: float(scale * gain[groups].mean()) for key, gain in self.gains.items()}

    def _tempered_tables(
        self, groups: Int64[np.ndarray, " some"]
    ) -> dict[str, Float64[np.ndarray, "_ classes"]]:
        """Return each expert's tempered table of clusters and classes in some groups."""
        bits, tempered = self._bits(groups), {}
        shares = self.shares[groups].mean(axis=0)
        for expert, tables in self.tables.items():
            table = tables[groups].mean(axis=0)
            occupied = np.ix_(table.sum(axis=1) > 0, shares > 0)
            tempered[expert] = np.zeros_like(table)
            tempered[expert][occupied] = temper_to_information(
                bits[PAIR, f"I_{expert}"], table[occupied], shares[shares > 0]
            )
        return tempered


def _check(held_out: HeldOutPosteriors) -> None:
    """Refuse posteriors and labels that cannot be decomposed."""
    n_obs, classes = held_out.image.shape
    for name in ("y", "donors", "groups"):
        if (length := len(getattr(held_out, name))) != n_obs:
            raise DataError(
                f"{name} has {length} observations, the image posterior {n_obs}: match them"
            )
    if n_obs == 0 or held_out.y.min() < 0 or held_out.y.max() >= classes:
        raise DataError(f"y: give labelled observations, of classes 0 to {classes - 1} only")
    for what, names in (("class", held_out.y), ("group", held_out.groups)):
        if len(values := np.unique(names)) < 2:  # noqa: PLR2004 - an estimate needs two of both
            raise DataError(f"observations of one {what} only ({values[0]}): drop the task")
    donors = len(np.unique(held_out.donors))
    if donors > 1 and len(set(zip(held_out.donors, held_out.groups, strict=True))) != donors:
        raise DataError(f"groups: not the {donors} donors; sections count only if of one donor")
    for (method, quantity), posterior in held_out.posteriors.items():
        name = f"posterior {quantity} of {method}"
        if posterior.shape != (n_obs, classes):
            raise DataError(f"{name}: shape {posterior.shape}, the image has {n_obs, classes}")
        unnormalised = abs(posterior.sum(axis=1) - 1) > classes / 255
        if (invalid := unnormalised | ~(posterior >= 0).all(axis=1)).any():
            raise DataError(
                f"{name}: observation {invalid.argmax()} has no probabilities that sum to one; "
                "probe it again"
            )
