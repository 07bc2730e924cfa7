"""Ridge regression of any set of donors, from sums over the units of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Shaped

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.probes import _linalg
from cell_synergy.downstream.probes._linalg import Array
from cell_synergy.downstream.probes.design import Frame, Linear, coordinates
from cell_synergy.downstream.probes.ridge import Solution, solve

_BLOCK = 2**21  # numbers read at a time, which a processor's cache holds
_CONSTANT = 1e-24  # variance below which an output is constant,
_ROUNDING = 1e-12  # and that as a share of its mean square


@dataclass(frozen=True)
class Grams:
    """Sums over the units of each group, e.g. donor.

    They are additive: leaving donors out, inner folds, paths of strengths and jackknives read the
    units no more, and cost a solution each.

    Attributes
    ----------
    names
        Of the groups, sorted.
    frame
        Where the coordinates lie.
    offset
        Mean of the outputs over all units.
    sums
        Of each group: products of all pairs of columns, which are the coordinates, ones for the
        intercept, and the outputs less their offset.
    """

    names: Shaped[np.ndarray, " groups"]
    frame: Frame
    offset: Float64[np.ndarray, " outputs"]
    sums: list[Float64[Array, "columns columns"]]

    @classmethod
    def of(
        cls,
        x: Float[np.ndarray, "obs d"],
        y: Float[np.ndarray, "obs outputs"],
        groups: Shaped[np.ndarray, " obs"],
    ) -> "Grams":
        """Sum over units of features `x`, outputs `y` and names of their group."""
        frame = Frame.about_mean(x) if len(x) >= x.shape[1] else coordinates(x)[0]
        offset = y.mean(axis=0, dtype=np.float64)
        names, group = np.unique(groups, return_inverse=True)
        sums, size = [], max(_BLOCK // x.shape[1], 1)
        for number in range(len(names)):
            own = np.flatnonzero(group == number)
            blocks = np.split(own, range(size, len(own), size))
            sums.append(_linalg.gram(frame.columns(x[rows], y[rows] - offset) for rows in blocks))
        return cls(names, frame, offset, sums)

    def ridge(self, strengths: Sequence[float], kept: Bool[np.ndarray, " groups"]) -> list[Linear]:
        """Fit ridge regression of each strength on the units of the groups that are kept.

        Raises
        ------
        DataError
            If no group is kept.
        """
        offset = _linalg.of(self.offset)
        return [
            self.frame.linear(v, offset, norm, 0) for v, norm in self._solutions(strengths, kept)
        ]

    def r2(
        self,
        strengths: Sequence[float],
        kept: Bool[np.ndarray, " groups"],
        asked: Bool[np.ndarray, " groups"],
    ) -> Float64[np.ndarray, " strengths"]:
        """Return R2 on the units of the groups that are asked, of fits on those that are kept.

        It is averaged over outputs. Those that do not vary there are left out; NaN if none does.

        Raises
        ------
        DataError
            If no group is kept, or none is asked.
        """
        total, outputs = self._total(asked), len(self.offset)
        count, sums = float(total[-outputs - 1, -outputs - 1]), total[-outputs - 1, -outputs:]
        squares = _linalg.numpy(total.diagonal()[-outputs:])
        spread = squares - _linalg.numpy(sums) ** 2 / count
        varies = spread > np.maximum(_CONSTANT * count, _ROUNDING * squares)
        if not varies.any():
            return np.full(len(strengths), np.nan)
        found, own = [], _linalg.of(-np.eye(outputs))
        for v, _ in self._solutions(strengths, kept):
            rest = _linalg.library().concatenate([v, own])
            errors = _linalg.numpy((rest * (total @ rest)).sum(axis=0))
            found.append(1 - (errors[varies] / spread[varies]).mean())
        return np.array(found)

    def _total(self, groups: Bool[np.ndarray, " groups"]) -> Float64[Array, "columns columns"]:
        """Return the sums over some groups."""
        if not groups.any():
            raise DataError("sums over the units of no group; name one at least")
        return sum(self.sums[number] for number in np.flatnonzero(groups))

    def _solutions(
        self, strengths: Sequence[float], groups: Bool[np.ndarray, " groups"]
    ) -> Iterator[Solution]:
        """Return the optimum of each strength on the units of some groups."""
        total, columns = self._total(groups), -len(self.offset)
        return solve(total[:columns, :columns], total[:columns, columns:], strengths)
