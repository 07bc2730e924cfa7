"""SIS over distance: the scores of all methods in every band, and of close pairs.

Far enough away no expert knows anything, and there macro F1 misleads: a probe that knows nothing
has a higher one if it spreads its guesses over all classes than if it always says the most frequent
class. So what a method gains over an expert is estimated where that expert is shown to know
something: where the 95 % interval over donors of its usable information (of labels), or of its R2
(of compositions), lies above zero.
"""

from collections.abc import Hashable, Iterator

import numpy as np
import pandas as pd

from cell_synergy.downstream.spatial.layout import OF_THE_BAND
from cell_synergy.scoring.inference import LEAST_DONORS, paired_t
from cell_synergy.scoring.reference import INFERRED
from cell_synergy.scoring.tables import ALL_FOLDS, sis_table

NOBODY = "not estimable: nobody knows anything at this distance"
METHOD_ALONE = "no relative gain: the method knows something at this distance, the experts do not"

_GUESSED = "macro_f1"  # the metric that guesses can raise


def curves(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the SIS of every method, target, band and probe.

    Parameters
    ----------
    scores
        What `cell_synergy.downstream.spatial.scores.judge` returned, of all methods of a data set.

    Returns
    -------
    :
        The columns of `cell_synergy.scoring.tables.sis_table`, and of the band; its radii and
        neighbours are means over test donors. Of close pairs the accuracy is compared. Where the
        better expert is not shown to know anything, `sis` is NaN; where the method is not either,
        or the metric is macro F1, so is all that is inferred from gains; `note` says which,
        `NOBODY` or `METHOD_ALONE`. Under five donors there are no intervals, and means have to be
        above zero. Of no scores there are no rows.
    """
    if scores.empty:
        return sis_table(scores).reindex(columns=[*sis_table(scores).columns, *OF_THE_BAND])
    donors = scores.drop_duplicates(["task", "donor"]).set_index("task")
    numbers = donors[OF_THE_BAND[1:]].apply(pd.to_numeric)  # empty words where there is no band
    of_task = donors.groupby("task")[["target"]].first().join(numbers.groupby("task").mean())
    of_task["band"] = of_task["band"].astype("Int64")
    table = sis_table(scores).merge(of_task, left_on="task", right_index=True, how="left")
    knows = set(_knowing(scores))
    expert, method = (_among(knows, table, column) for column in ("best", "method"))
    far = ~expert & table["band"].notna().to_numpy()
    guessed = (table["metric"] == _GUESSED).to_numpy()
    table.loc[far, "sis"] = np.nan
    table.loc[far & (guessed | ~method), INFERRED] = np.nan
    table.loc[far, "note"] = np.where(method, METHOD_ALONE, NOBODY)[far]
    order = ["method", "target", "band", "metric", "probe"]
    single = table["fold"] != ALL_FOLDS
    table = table.assign(single=single).sort_values([*order, "single", "fold"], kind="stable")
    return table.drop(columns="single").reset_index(drop=True)


def _knowing(scores: pd.DataFrame) -> Iterator[Hashable]:
    """Yield task, probe and method of those that know something."""
    own = scores[scores["metric"].isin(["bits", "r2"])]
    case = ["task", "probe", "method"]
    for name, rows in own.groupby([*case, "donor"])["value"].mean().groupby(case):
        values = rows.to_numpy()[:, None]
        low = paired_t(values).low if len(values) >= LEAST_DONORS else values.mean(axis=0)
        if low[0] > 0:
            yield name


def _among(knows: set[Hashable], table: pd.DataFrame, column: str) -> np.ndarray:
    """Return for each row whether the method named in a column knows something."""
    cases = zip(table["task"], table["probe"], table[column], strict=True)
    return np.array([case in knows for case in cases])
