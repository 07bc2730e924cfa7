"""Statistics of donors from which every quantity of a decomposition is estimated."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from scipy.special import entr, softmax

from cell_synergy.core.names import UNIMODAL
from cell_synergy.downstream.information.clustering import cluster_posteriors, temper_to_information
from cell_synergy.downstream.information.held_out import PAIR, HeldOutPosteriors, Key
from cell_synergy.downstream.information.recalibration import equal_weights, recalibrate
from cell_synergy.pid.broja import BrojaSolution, solve_broja
from cell_synergy.pid.discrete import mutual_information

_MAX_SHORTFALL = 1e-3  # bits by which a tempered table may miss its information without a note
_ROUNDING = 1e-12  # bits
_MIN_SCALE = 1e-6  # of tables in which one class is left, which have no information but rounding


@dataclass(frozen=True)
class Estimate:
    """Statistics of each group; quantities are computed from means over groups.

    Attributes
    ----------
    loss
        Log-loss, in bits, of the training label shares.
    shares
        Share of each class that occurs.
    gains
        Gain in log-likelihood, in bits, of recalibrated posteriors over the training label shares.
    tables
        Joint probabilities of clusters and classes, of the image and of the expression.
    quantization_loss
        Bits lost by clustering the posteriors, of the image and of the expression.
    """

    loss: Float64[np.ndarray, " groups"]
    shares: Float64[np.ndarray, "groups classes"]
    gains: dict[Key, Float64[np.ndarray, " groups"]]
    tables: dict[str, Float64[np.ndarray, "groups _ classes"]]
    quantization_loss: dict[str, float]

    @classmethod
    def of(cls, held_out: HeldOutPosteriors, max_clusters: int) -> "Estimate":
        """Recalibrate the posteriors, and cluster the observations by those of each expert.

        Parameters
        ----------
        held_out
            Labels and posteriors of the task.
        max_clusters
            Maximal number of clusters of one modality's posteriors.
        """
        occurring, numbers = np.unique(held_out.y, return_inverse=True)
        names, groups = np.unique(held_out.groups, return_inverse=True)
        weights = equal_weights(groups)
        means = len(names) * weights * (groups == np.arange(len(names))[:, None])
        labelled = np.arange(len(groups)), held_out.y
        chance = np.log2(held_out.prior[labelled])
        gains: dict[Key, Float64[np.ndarray, " groups"]] = {}
        tables, losses = {}, {}
        for key, posterior in held_out.posteriors.items():
            if posterior is held_out.joint and (PAIR, "I_joint") in gains:
                gains[key] = gains[PAIR, "I_joint"]  # of the method that is the joint probe's
                continue
            log_p = recalibrate(posterior, held_out.prior, held_out.y, groups)
            gain = log_p[labelled] / np.log(2) - chance
            gains[key] = means @ np.where(abs(gain) > _ROUNDING, gain, 0)
            if (expert := key[1].removeprefix("I_")) in UNIMODAL:
                p = softmax(log_p[:, occurring], axis=1)
                cluster = cluster_posteriors(p, weights, max_clusters)
                parts = [means * (cluster == number) @ p for number in range(cluster.max() + 1)]
                tables[expert] = np.stack(parts, axis=1)
                joint, clustered = weights[:, None] * p, tables[expert].mean(axis=0)
                losses[expert] = mutual_information(joint) - mutual_information(clustered)
        return cls(-means @ chance, means @ np.eye(len(occurring))[numbers], gains, tables, losses)

    @cached_property
    def broja(self) -> BrojaSolution:
        """BROJA solution for the experts' tempered tables, from all groups."""
        groups = np.arange(len(self.loss))
        first, second = self._tempered_tables(groups).values()
        both = np.einsum("ay,by->aby", first, second / second.sum(axis=0))
        return solve_broja(both / both.sum())

    def quantities(self, groups: Int64[np.ndarray, " some"]) -> dict[Key, float]:
        """Return every quantity estimated from some groups; certified synergy is not clipped.

        R + U1 + U2 is extrapolated to first order from the BROJA solution of all groups, and
        clipped to its theoretical bounds.

        Parameters
        ----------
        groups
            Indices of the groups.
        """
        scale, bits, tables = self._scale(groups), self._bits(groups), self._tempered_tables(groups)
        bound = self.broja.bound(*tables.values()) / scale
        first, second = (mutual_information(table) / scale for table in tables.values())
        union = max(first, second, min(first + second, bound))  # R + U1 + U2
        pair = {"H": float(self.loss[groups].mean()), "R": first + second - union}
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
        scale, bits, rows = self._scale(groups), self._bits(groups), []
        for expert, table in self._tempered_tables(groups).items():
            estimated, tempered = bits[PAIR, f"I_{expert}"], mutual_information(table) / scale
            note = ""
            if estimated - tempered > _MAX_SHORTFALL:
                note = f"cells hold {tempered:.3f} of {estimated:.3f} bits: raise information.cells"
            rows.append([PAIR, f"lost_{expert}", self.quantization_loss[expert] / scale, note])
        return pd.DataFrame(rows, columns=["method", "quantity", "bits", "note"])

    def _bits(self, groups: Int64[np.ndarray, " some"]) -> dict[Key, float]:
        """Return the information of each posterior in some groups."""
        return {key: float(gain[groups].mean()) for key, gain in self.gains.items()}

    def _scale(self, groups: Int64[np.ndarray, " some"]) -> float:
        """Return bits of a table per usable bit: the entropy of its classes over H.

        It is above zero also where these groups have one class, whose table has no information.
        """
        entropy = entr(self.shares[groups].mean(axis=0)).sum() / np.log(2)
        return max(float(entropy / self.loss[groups].mean()), _MIN_SCALE)

    def _tempered_tables(
        self, groups: Int64[np.ndarray, " some"]
    ) -> dict[str, Float64[np.ndarray, "_ classes"]]:
        """Return each expert's tempered table of clusters and classes in some groups."""
        scale, bits, tempered = self._scale(groups), self._bits(groups), {}
        shares = self.shares[groups].mean(axis=0)
        for expert, tables in self.tables.items():
            table = tables[groups].mean(axis=0)
            occupied = np.ix_(table.sum(axis=1) > 0, shares > 0)
            tempered[expert] = np.zeros_like(table)
            tempered[expert][occupied] = temper_to_information(
                scale * bits[PAIR, f"I_{expert}"], table[occupied], shares[shares > 0]
            )
        return tempered
