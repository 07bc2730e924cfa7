"""How many bits two modalities share, hold alone or hold only together, learnt from probes.

Probes' posteriors of held-out units stand for the embeddings they read. Every term is the same
estimate: how many bits a recalibrated posterior [1]_ gains in log-likelihood over the shares of the
labels [2]_. Both are fitted on other donors, at nearly the same cost: where a posterior tells
nothing, the gain is 0. It is multiplied by H(Y) over the log-loss of those shares, so that a
posterior that is always right gains H(Y) also where donors differ in their shares. Donors weigh the
same, however many units they have.

The unimodal posteriors fix the tables p(z1, y) and p(z2, y), all that BROJA needs for the redundant
and unique parts. Units are gathered in cells of similar posteriors [3]_, and the table of the cells
is sharpened or blurred until it holds just the bits estimated: that makes up for what cells lose,
and R + U1 = I(Y; Z1). Of synergy the unimodal posteriors say nothing: it is what a joint, nonlinear
probe of the raw pair holds beyond R + U1 + U2. A method's certified synergy is what its
representation holds beyond them.

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
from cell_synergy.downstream.information.clustering import gathered, holding
from cell_synergy.downstream.information.recalibration import equal_weights, recalibrate
from cell_synergy.pid.broja import Least, least_information
from cell_synergy.pid.discrete import mutual_information
from cell_synergy.scoring.inference import LEAST_DONORS, inflation, jackknife_t

Key = tuple[str, str]

PAIR = "pair"  # the method of rows about the two experts together
COLUMNS = ["method", "quantity", "bits", "low", "high", "n_donors", "note"]

_NEVER_NEGATIVE = ["R", "U_image", "U_expression", "certified_synergy"]
_OF_CELLS = [*_NEVER_NEGATIVE, "S"]
_SHORT = 1e-3  # bits that cells may fail to hold without a note


class InformationConfig(Config):
    """How information is decomposed.

    Attributes
    ----------
    cells
        In how many cells the units of one modality are gathered, at most.
    """

    cells: Annotated[int, Field(ge=2)]


@dataclass(frozen=True)
class HeldOut:
    """One classification task: labelled test units of all folds, and what probes say of them.

    Attributes
    ----------
    y
        Class of each unit.
    donors
        Whose tissue each unit is.
    groups
        What a split never divides: donors, or of one donor its sections.
    image, expression, joint
        Posteriors (units x classes) of the probes of each expert's embedding, and of the joint one
        of the raw pair.
    methods
        Posteriors of the probe of each method's representation.
    in_turn
        Whether groups were held out in turn (see `cell_synergy.scoring.inference`).
    """

    y: Int[np.ndarray, " _"]
    donors: Shaped[np.ndarray, " _"]
    groups: Shaped[np.ndarray, " _"]
    image: Float[np.ndarray, "_ _"]
    expression: Float[np.ndarray, "_ _"]
    joint: Float[np.ndarray, "_ _"]
    methods: Mapping[str, Float[np.ndarray, "_ _"]]
    in_turn: bool

    @property
    def posteriors(self) -> dict[Key, Float[np.ndarray, "_ _"]]:
        """All posteriors, by the method and quantity that each stands for."""
        pair = {(PAIR, f"I_{name}"): getattr(self, name) for name in (*UNIMODAL, "joint")}
        return pair | {(name, "I"): posterior for name, posterior in self.methods.items()}


def decompose(held: HeldOut, cells: int) -> pd.DataFrame:
    """Return every quantity of the experts' pair and of the methods, with 95 % intervals.

    Parameters
    ----------
    held
        The task.
    cells
        In how many cells the units of one modality are gathered, at most.

    Returns
    -------
    :
        One row per method and quantity, in bits, with the columns `COLUMNS`. Of the pair (`PAIR`):
        `I_image`, `I_expression`, `I_joint`; `H`, the labels' entropy; the parts `R`, `U_image`,
        `U_expression`, `S`, which is negative where the joint probe knows less than the experts'
        parts; `lost_image`, `lost_expression`, which cells lose of the posteriors' information
        before it is made up. Of a method: `I`; `complementarity`, beyond the better expert's I;
        `certified_synergy`, beyond R + U1 + U2 and at least 0.

        Intervals are donor-jackknife t intervals, given the probes, their calibration and the
        cells; where bits cannot be negative they end at 0. Under five donors there are none.

    Raises
    ------
    DataError
        If arrays differ in length, a posterior is none, there is one class only, or one group.
    """
    _check(held)
    estimate = _Estimate.of(held, cells)
    groups = np.arange(len(estimate.loss))
    found = estimate.quantities(groups)
    table = pd.Series(found).rename_axis(["method", "quantity"]).reset_index(name="bits")
    table[["low", "high"]] = np.nan
    donors = len(np.unique(held.donors))
    note = f"not testable: {donors} donor{'s' * (donors > 1)}, {LEAST_DONORS} needed"
    if donors >= LEAST_DONORS:
        note = "the same without any donor: no interval"
        without = [list(estimate.quantities(np.delete(groups, out)).values()) for out in groups]
        interval = jackknife_t(table["bits"].to_numpy(), np.array(without))
        interval = interval.widened(np.sqrt(inflation(donors, in_turn=held.in_turn)))
        table["low"], table["high"] = interval.low, interval.high
    table["note"] = np.where(table["low"].isna(), note, "")
    losses = estimate.losses()
    if short := "; ".join(filter(None, losses["note"])):
        table.loc[table["quantity"].isin(_OF_CELLS), "note"] = short
    rows, limits = table["quantity"].isin(_NEVER_NEGATIVE), ["bits", "low", "high"]
    table.loc[rows, limits] = table.loc[rows, limits].clip(lower=0)
    table = pd.concat([table, losses], ignore_index=True)
    return table.assign(n_donors=donors)[COLUMNS]


@dataclass(frozen=True)
class _Estimate:
    """What each group adds to the quantities, which are those of the groups' mean.

    Attributes
    ----------
    loss
        Log-loss, in bits, of the shares in other groups.
    shares
        Of each class.
    gains
        Bits that calibrated posteriors gain over the shares in other groups.
    masses
        Of the image and the expression: probability of each cell and class.
    lost
        Of the same: bits lost by gathering units in cells.
    """

    loss: Float64[np.ndarray, " groups"]
    shares: Float64[np.ndarray, "groups classes"]
    gains: dict[Key, Float64[np.ndarray, " groups"]]
    masses: dict[str, Float64[np.ndarray, "groups _ classes"]]
    lost: dict[str, float]

    @classmethod
    def of(cls, held: HeldOut, cells: int) -> "_Estimate":
        """Calibrate posteriors of the classes that units have, and gather units in cells."""
        classes, y = np.unique(held.y, return_inverse=True)
        names, groups = np.unique(held.groups, return_inverse=True)
        onehot = np.eye(len(classes))[y]
        weights = equal_weights(groups)
        means = len(names) * weights * (groups == np.arange(len(names))[:, None])
        chance = (recalibrate(np.ones_like(onehot), y, groups) * onehot).sum(axis=1) / np.log(2)
        gains, masses, lost = {}, {}, {}
        for key, posterior in held.posteriors.items():
            calibrated = recalibrate(posterior[:, classes], y, groups)
            gains[key] = means @ ((calibrated * onehot).sum(axis=1) / np.log(2) - chance)
            if (expert := key[1].removeprefix("I_")) in UNIMODAL:
                p = np.exp(calibrated)
                cell = gathered(p, weights, cells)
                parts = [means * (cell == number) @ p for number in range(cell.max() + 1)]
                masses[expert] = np.stack(parts, axis=1)
                whole, kept = weights[:, None] * p, masses[expert].mean(axis=0)
                lost[expert] = mutual_information(whole) - mutual_information(kept)
        return cls(-means @ chance, means @ onehot, gains, masses, lost)

    @cached_property
    def least(self) -> Least:
        """The least information that the experts' tables leave possible, of all groups."""
        groups = np.arange(len(self.loss))
        first, second = self._tables(groups).values()
        both = np.einsum("ay,by->aby", first, second / second.sum(axis=0))
        return least_information(both / both.sum())

    def quantities(self, groups: Int64[np.ndarray, " some"]) -> dict[Key, float]:
        """Return every quantity of some groups, in which a method may certify less than 0.

        R + U1 + U2 of some groups is that of all to first order, in the range that theory allows.
        """
        bits, tables = self._bits(groups), self._tables(groups)
        first, second = (mutual_information(table) for table in tables.values())
        least = self.least.bound(*tables.values())
        known = max(first, second, min(first + second, least))
        named = {"H": self._entropy(groups), "R": first + second - known}
        named |= {"U_image": known - second, "U_expression": known - first}
        named["S"] = bits[PAIR, "I_joint"] - known
        best = max(bits[PAIR, f"I_{expert}"] for expert in UNIMODAL)
        for method, quantity in list(bits):
            if quantity == "I":
                bits[method, "complementarity"] = bits[method, "I"] - best
                bits[method, "certified_synergy"] = bits[method, "I"] - known
        return bits | {(PAIR, name): value for name, value in named.items()}

    def losses(self) -> pd.DataFrame:
        """Return what cells lose, with a note where that cannot be made up."""
        groups = np.arange(len(self.loss))
        bits, rows = self._bits(groups), []
        for expert, table in self._tables(groups).items():
            wanted, held = bits[PAIR, f"I_{expert}"], mutual_information(table)
            note = f"cells hold {held:.3f} of {wanted:.3f} bits: raise information.cells"
            short = wanted - held > _SHORT
            rows.append([PAIR, f"lost_{expert}", self.lost[expert], note * short])
        return pd.DataFrame(rows, columns=["method", "quantity", "bits", "note"])

    def _entropy(self, groups: Int64[np.ndarray, " some"]) -> float:
        return float(entr(self.shares[groups].mean(axis=0)).sum() / np.log(2))

    def _bits(self, groups: Int64[np.ndarray, " some"]) -> dict[Key, float]:
        """Return the information that each posterior holds in some groups."""
        scale = self._entropy(groups) / self.loss[groups].mean()
        return {key: float(scale * gain[groups].mean()) for key, gain in self.gains.items()}

    def _tables(
        self, groups: Int64[np.ndarray, " some"]
    ) -> dict[str, Float64[np.ndarray, "_ classes"]]:
        """Return the probabilities of each expert's cells and the classes in some groups."""
        bits, tables = self._bits(groups), {}
        shares = self.shares[groups].mean(axis=0)
        for expert, masses in self.masses.items():
            mass = masses[groups].mean(axis=0)
            some = np.ix_(mass.sum(axis=1) > 0, shares > 0)
            tables[expert] = np.zeros_like(mass)
            wanted = bits[PAIR, f"I_{expert}"]
            tables[expert][some] = holding(wanted, mass[some], shares[shares > 0])
        return tables


def _check(held: HeldOut) -> None:
    """Refuse what cannot be decomposed."""
    units, classes = held.image.shape
    lengths = {"y": len(held.y), "donors": len(held.donors), "groups": len(held.groups)}
    for name, length in lengths.items():
        if length != units:
            raise DataError(f"{name} has {length} units, the image posterior {units}: match them")
    if units == 0 or held.y.min() < 0 or held.y.max() >= classes:
        raise DataError(f"y: give labelled units, of classes 0 to {classes - 1} only")
    for what, names in (("class", held.y), ("group", held.groups)):
        if len(found := np.unique(names)) < 2:  # noqa: PLR2004 - nothing to tell, or to fit on
            raise DataError(f"units of one {what} only ({found[0]}): drop the task")
    donors = len(np.unique(held.donors))
    if donors > 1 and len(set(zip(held.donors, held.groups, strict=True))) != donors:
        raise DataError(f"groups: not the {donors} donors; sections count only if of one donor")
    for (method, quantity), posterior in held.posteriors.items():
        name = f"posterior {quantity} of {method}"
        if posterior.shape != (units, classes):
            raise DataError(f"{name}: shape {posterior.shape}, the image has {units, classes}")
        off = abs(posterior.sum(axis=1) - 1) > classes / 255
        if (bad := off | ~(posterior >= 0).all(axis=1)).any():
            raise DataError(
                f"{name}: unit {bad.argmax()} has no probabilities that sum to one; probe it again"
            )
