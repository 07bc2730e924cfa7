"""Gain and SIS over distance: of all methods in every distance band, and for close and far pairs.

At large distances no expert may have information about the neighbours. Macro F1 misleads there: a
probe without information scores higher if its predictions are spread over all classes than if it
always predicts the most frequent class, so that being above its chance shows nothing. The relative
gain of a method over an expert is therefore estimated only where the expert demonstrably has
information, that is, where the 95 % interval over donors of its usable information (labels) or of
its R2 (compositions) lies above zero. Each band is a task: p values are corrected within a
family of methods (`scoring.families`) in a band, not over bands.
"""

from collections.abc import Hashable, Iterator

import numpy as np
import pandas as pd
from jaxtyping import Bool

from cell_synergy.core.names import VERDICT_METRICS
from cell_synergy.downstream.spatial.config import BAND_COLUMNS
from cell_synergy.scoring.inference import is_positive
from cell_synergy.scoring.tables import ALL_FOLDS, INFERENCE_COLUMNS, sis_table

NOBODY = "not estimable: nobody knows anything at this distance"
METHOD_ALONE = "no relative gain: the method knows something at this distance, the experts do not"

_CHANCE_SENSITIVE = "macro_f1"  # the metric that predictions without information can raise


def curves(scores: pd.DataFrame) -> pd.DataFrame:
    """Return gain and SIS of every method, target, band and probe.

    Parameters
    ----------
    scores
        Score tables of `cell_synergy.downstream.spatial.scores`, of all methods of a data set.

    Returns
    -------
    :
        The columns of `cell_synergy.scoring.tables.sis_table` and `BAND_COLUMNS`; radii and
        neighbours of a band are means over test donors. In a band where the better expert has no
        demonstrable information, `sis` is NaN, and `note` is `METHOD_ALONE` if the method
        has demonstrable information and `NOBODY` if not; in macro F1 all columns inferred from
        gains (`INFERENCE_COLUMNS`) are NaN too. With fewer than five donors there are no intervals,
        and information is demonstrable if its mean is above zero. Empty scores give an empty table.
    """
    if scores.empty:
        return sis_table(scores).reindex(columns=[*sis_table(scores).columns, *BAND_COLUMNS])
    donors = scores.drop_duplicates(["task", "donor"]).set_index("task")
    numbers = donors[BAND_COLUMNS[1:]].apply(pd.to_numeric)  # text columns if no task has a band
    by_task = donors.groupby("task")[["target"]].first().join(numbers.groupby("task").mean())
    by_task["band"] = by_task["band"].astype("Int64")
    table = sis_table(scores).merge(by_task, left_on="task", right_index=True, how="left")
    informative = set(_informative(scores))
    expert, method = (_is_among(informative, table, column) for column in ("best", "method"))
    uninformative = ~expert & table["band"].notna().to_numpy()
    chance_sensitive = (table["metric"] == _CHANCE_SENSITIVE).to_numpy()
    table.loc[uninformative, ["sis", "low", "high"]] = np.nan
    table.loc[uninformative & chance_sensitive, INFERENCE_COLUMNS] = np.nan
    table.loc[uninformative, "note"] = np.where(method, METHOD_ALONE, NOBODY)[uninformative]
    order = ["method", "target", "band", "metric", "probe"]
    single = table["fold"] != ALL_FOLDS
    table = table.assign(single=single).sort_values([*order, "single", "fold"], kind="stable")
    return table.drop(columns="single").reset_index(drop=True)


def _informative(scores: pd.DataFrame) -> Iterator[Hashable]:
    """Yield each (task, probe, method) whose bits or R2 are above zero over donors."""
    scores = scores[scores["metric"].isin(VERDICT_METRICS)]
    case = ["task", "probe", "method"]
    folds = scores.groupby(case)["fold"].nunique().to_dict()
    for name, rows in scores.groupby([*case, "donor"])["value"].mean().groupby(case):
        if is_positive(rows.to_numpy(), cross_validated=folds[name] > 1):
            yield name


def _is_among(
    informative: set[Hashable], table: pd.DataFrame, column: str
) -> Bool[np.ndarray, " rows"]:
    """Return a mask of rows whose (task, probe, method named in `column`) is informative."""
    cases = zip(table["task"], table["probe"], table[column], strict=True)
    return np.array([case in informative for case in cases], dtype=bool)
