"""Coverage of the intervals of R, U and S on simulations with known decompositions."""

import numpy as np
import pandas as pd

_ROUNDING = 1e-6  # bits by which the exact solver may miss a truth


def coverage(table: pd.DataFrame) -> pd.DataFrame:
    """Return the share of intervals that hold the truth, by design.

    Parts above 0 and true zeros are counted apart: limits end at 0, so that intervals of a zero
    nearly always hold it.

    Parameters
    ----------
    table
        Rows as `calibration.calibration_table` returns them; those without an interval do not
        count.

    Returns
    -------
    :
        One row per design (test `donors`, and observations per donor, `units`): number of
        `intervals`, and the share of them that hold the truth, `coverage`; the same of parts above
        0 and of true zeros, `above_zero`, `coverage_above_zero`, `zeros`, `coverage_zeros`; the
        intervals' mean `width`, and mean `absolute_error` and `error` (estimate minus truth) of the
        estimates, in bits.
    """
    table = table[table["low"].notna()]
    truth, zero = table["truth"], table["truth"] < _ROUNDING
    inside = (table["low"] <= truth + _ROUNDING) & (truth - _ROUNDING <= table["high"])
    covered = inside.astype(float)
    error = table["estimate"] - truth
    rows = table.assign(
        coverage=covered,
        above_zero=covered.where(~zero),
        zeros=covered.where(zero),
        width=table["high"] - table["low"],
        absolute_error=np.abs(error),
        error=error,
    )
    return (
        rows.groupby(["donors", "units"])
        .agg(
            intervals=("coverage", "count"),
            coverage=("coverage", "mean"),
            above_zero=("above_zero", "count"),
            coverage_above_zero=("above_zero", "mean"),
            zeros=("zeros", "count"),
            coverage_zeros=("zeros", "mean"),
            width=("width", "mean"),
            absolute_error=("absolute_error", "mean"),
            error=("error", "mean"),
        )
        .reset_index()
    )
