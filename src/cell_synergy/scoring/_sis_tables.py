"""Gain and SIS of every method, computed from tidy probe scores: what `tables` offers."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from cell_synergy.core.names import DONOR, UNIMODAL
from cell_synergy.data.remarks import copy_remarks
from cell_synergy.scoring._validation import require_context, validated
from cell_synergy.scoring.cases import inference_table
from cell_synergy.scoring.families import BEYOND, NO_FAMILY, family
from cell_synergy.scoring.reference import CASE, Referenced, with_reference

METRICS = "macro_f1", "balanced_accuracy", "accuracy", "r2", "pearson", "bits"
ALL_FOLDS = "all"
INFERENCE_COLUMNS = [
    "gain_low", "gain_high", "p", "p_corrected", "alone_gain", "alone_low", "alone_high", "low",
    "high",
]  # fmt: skip

_SIS_KEY = ["dataset", "method", "task", "metric", "probe"]
_REFERENCES = ["limiting", "shared", "has_ratio"]


def sis_table(
    scores: pd.DataFrame,
    unimodal: tuple[str, str] = UNIMODAL,
    controls: Collection[str] | None = None,
) -> pd.DataFrame:
    """Return gain and SIS of every method but the two experts, per task, metric and probe.

    Seeds are averaged within donor and fold, then folds within donor, then donors with equal
    weights. Intervals and p values are those of `cell_synergy.scoring.gains`.

    Parameters
    ----------
    scores
        Score table of all methods; metrics other than `METRICS` are ignored.
    unimodal
        Both experts. The one with the higher inner score in a metric (the first in a tie) is the
        reference `best` of `sis` for every method and fold. Late fusion is compared with experts
        scored with the probe "mlp".
    controls
        Methods that are left out of the correction of p values; their own `p_corrected` is NaN.
        None leaves out all for which `core.names.is_control` holds.

    Returns
    -------
    :
        Columns `dataset, method, task, metric, probe, fold, score`; one `<expert>_score` per
        expert; `best, best_score`, of the better expert; `gain` over the expert over which the
        method gains less, a share of the mean entropy in bits of classifications, with its 95 %
        interval over donors `gain_low, gain_high`; `p`, one-sided, and `p_corrected`, corrected
        within a family of methods (`scoring.families`) in a data set, task and probe: the largest
        of the values for both experts and for chance, in the metric of verdicts only (bits of
        classifications, R2 of regressions); `alone_gain, alone_low, alone_high`, the same gain over
        the method trained on one expert paired with itself, where such a control was scored; `sis`
        with its interval `low, high`, where the better expert is above chance, in this metric and
        in that of verdicts (guesses raise macro F1 too); `n_donors`; and `note`, which gives the
        reason of other NaN and says where the other expert is better on the scored donors. At a tie
        of both experts `gain` is too low by about .007 (`scoring.gains`). Fold "all" is the
        estimate over all donors; if there are several folds, one row each follows, with gains over
        the same expert and nothing inferred. The control task `donor` has scores and gains only.
        Remarks are copied to a last column `remark`. Without other methods the table is empty.

    Raises
    ------
    DataError
        If the scores are not valid, an expert or its probe "mlp" is missing, or methods were not
        scored on the same donors.
    """
    columns = _sis_columns(unimodal)
    usable = _usable(scores, unimodal)
    if usable.empty:
        return pd.DataFrame(columns=columns, dtype=object)
    referenced = with_reference(usable, unimodal)
    inferred = _inferred(referenced, controls)
    rows = [_overall_rows(referenced, inferred), _fold_rows(referenced, inferred)]
    table = pd.concat(rows).sort_values(_SIS_KEY, kind="stable", ignore_index=True)
    table = _with_sis(table, table["best_score"]).reindex(columns=columns).fillna({"note": ""})
    is_donor = table["task"] == DONOR
    table.loc[is_donor, ["sis", *INFERENCE_COLUMNS]] = np.nan
    table.loc[is_donor, "note"] = "whose tissue a unit is: a control, no task"
    return copy_remarks(table, scores)


def sis_by_donor(scores: pd.DataFrame, unimodal: tuple[str, str] = UNIMODAL) -> pd.DataFrame:
    """Return the contribution of each donor to gain and SIS; their means over donors are those.

    Parameters
    ----------
    scores, unimodal
        Score table of all methods, and the two experts.

    Returns
    -------
    :
        Columns `dataset, method, task, metric, probe, donor, score`, one `<expert>_score` per
        expert, `best, best_score, gain, sis, note` as in `sis_table`: `gain` is the difference to
        the expert over which the method gains less over all donors, divided by the mean entropy in
        bits of classifications; `sis` is the difference to the better expert, divided by its mean
        score over donors.

    Raises
    ------
    DataError
        If scores are not valid, or an expert or a donor of a method is missing.
    """
    columns = [*_SIS_KEY, "donor", "score", *_score_columns(unimodal), "best", "best_score"]
    columns += ["gain", "sis", "note"]
    usable = _usable(scores, unimodal)
    if usable.empty:
        return pd.DataFrame(columns=columns, dtype=object)
    referenced = with_reference(usable, unimodal)
    inferred = _inferred(referenced, None)
    donors = referenced.mean("donor").long()
    donors = donors.merge(inferred[[*_SIS_KEY, *_REFERENCES, "note"]])
    means = donors.groupby(_SIS_KEY)[["entropy", "best_score"]].transform("mean")
    donors = _with_sis(_with_gain(donors, means["entropy"]), means["best_score"])
    return copy_remarks(donors[columns], scores)


def _score_columns(unimodal: tuple[str, str]) -> list[str]:
    return [f"{name}_score" for name in unimodal]


def _sis_columns(unimodal: tuple[str, str]) -> list[str]:
    return [
        *_SIS_KEY, "fold", "score", *_score_columns(unimodal), "best", "best_score", "gain",
        *INFERENCE_COLUMNS[:-2], "sis", "low", "high", "n_donors", "note",
    ]  # fmt: skip


def _usable(scores: pd.DataFrame, unimodal: tuple[str, str]) -> pd.DataFrame:
    """Validate scores, unless there are none, and return those in `METRICS`."""
    if scores.empty:
        return scores
    scores = validated(scores, "scores")
    scores = scores[scores["metric"].isin(METRICS)]
    require_context(scores, unimodal)
    return scores


def _inferred(referenced: Referenced, controls: Collection[str] | None) -> pd.DataFrame:
    """Return the inference on every case and method."""
    if controls is None:
        return inference_table(referenced, family)
    return inference_table(
        referenced, lambda name: NO_FAMILY if name in controls else family(name) or BEYOND
    )


def _mean_over_donors(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return mean scores over donors and the number of donors, one row per value of `keys`."""
    means = [name for name in rows if str(name).endswith("score")]
    groups = rows.groupby([*keys, "best"])
    averages = groups[[*means, "entropy"]].mean()
    return averages.assign(n_donors=groups["donor"].nunique()).reset_index()


def _overall_rows(referenced: Referenced, inferred: pd.DataFrame) -> pd.DataFrame:
    """Return scores over all donors beside the inference on them."""
    rows = _mean_over_donors(referenced.mean("donor").long(), _SIS_KEY)
    return rows.assign(fold=ALL_FOLDS).merge(inferred, on=_SIS_KEY)


def _fold_rows(referenced: Referenced, inferred: pd.DataFrame) -> pd.DataFrame:
    """Return scores and gains of each fold, for the cases that have several."""
    rows = referenced.long()
    several = rows.groupby(CASE)["fold"].transform("nunique") > 1
    folds = _mean_over_donors(rows[several], [*_SIS_KEY, "fold"])
    folds = folds.merge(inferred[[*_SIS_KEY, *_REFERENCES]], on=_SIS_KEY)
    return _with_gain(folds, folds["entropy"])


def _with_gain(rows: pd.DataFrame, entropy: "pd.Series[float]") -> pd.DataFrame:
    """Add the gain over the limiting expert, as a share of an entropy where it is shared."""
    reference = sum(
        rows[f"{name}_score"].where(rows["limiting"] == name, 0.0)
        for name in rows["limiting"].unique()
    )
    gain = rows["score"] - reference
    return rows.assign(gain=gain / entropy.where(rows["shared"], 1.0))


def _with_sis(rows: pd.DataFrame, scale: "pd.Series[float]") -> pd.DataFrame:
    """Add the difference to the better expert as a share of a scale, where there is a ratio."""
    defined = rows["has_ratio"] & (scale > 0)
    return rows.assign(sis=(rows["score"] - rows["best_score"]) / scale.where(defined))
