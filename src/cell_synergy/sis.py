"""The Synergistic Information Score (SIS): the relative gain of two modalities over the better one.

    SIS(Y; Z1, Z2) = (I(Y; Z3) - max(I(Y; Z1), I(Y; Z2))) / max(I(Y; Z1), I(Y; Z2))

Z1 and Z2 are the unimodal representations, Z3 the multimodal one, and I is approximated by the
macro F1 or R2 of a probe. In exact mutual information SIS = (S + min(U1, U2)) / (R + max(U1, U2)),
with the terms of a partial information decomposition (`cell_synergy.pid.discrete`): both synergy S
and unique information U1, U2 of both modalities raise it.

`results` is `{model: {metric: [score, ...]}}`; names of multimodal models begin with "Multimodal".
"""

import math
import warnings
from collections.abc import Collection, Mapping
from numbers import Real
from typing import cast

import numpy as np
import pandas as pd

from cell_synergy.core.messages import suggest

Results = Mapping[str, Mapping[str, Collection[float]]]
Summary = Mapping[str, Mapping[str, float]]

GEX_KEY = "Unimodal GEX"
IMG_KEY = "Unimodal IMG"
MULTIMODAL = "Multimodal"
HIGH = 0.1
LEVELS = "High", "Moderate", "Low", "Undefined"

_results: dict[str, Mapping[str, Collection[float]]] = {}


class SISResult(dict[str, float]):
    """SIS of one multimodal model: a dictionary `{metric: SIS}`.

    Attributes
    ----------
    gain
        Absolute gain `{metric: gain}`: mean score of the model minus the better unimodal mean.
    """

    def __init__(self, sis: Mapping[str, float], gain: Mapping[str, float]) -> None:
        super().__init__(sis)
        self.gain = dict(gain)


def compute_sis(
    results: Results, multimodal_model: str, gex_key: str = GEX_KEY, img_key: str = IMG_KEY
) -> SISResult:
    """Return the SIS of one model for each metric that it and both unimodal models have.

    Parameters
    ----------
    results
        Scores `{model: {metric: [score, ...]}}`, higher is better; each list is averaged.
    multimodal_model, gex_key, img_key
        Names of the multimodal, the expression and the image model in `results`.

    Returns
    -------
    :
        `{metric: SIS}`, with the absolute gains in the attribute `gain`. If the better unimodal
        score is not positive, there is no relative gain: the SIS is NaN, with a warning.

    Raises
    ------
    ValueError
        If `results` lacks a model, or a list of scores is empty or has a value that is not finite.
    """
    _require_model(multimodal_model, results)
    sis, gains = {}, {}
    for metric in results[multimodal_model]:
        unimodal = [results[_require_model(key, results)] for key in (gex_key, img_key)]
        if not all(metric in scores for scores in unimodal):
            continue
        best = max(_mean_score(results, gex_key, metric), _mean_score(results, img_key, metric))
        gains[metric] = _mean_score(results, multimodal_model, metric) - best
        sis[metric] = gains[metric] / best if best > 0 else math.nan
        if not best > 0:
            warnings.warn(
                f"{multimodal_model}, {metric}: the best unimodal score is {best:.4g}, which is "
                f"not positive, so there is no relative gain (absolute: {gains[metric]:+.4g})",
                stacklevel=2,
            )
    return SISResult(sis, gains)


def compute_sis_all_models(
    results: Results, gex_key: str = GEX_KEY, img_key: str = IMG_KEY
) -> dict[str, SISResult]:
    """Return the SIS of every model whose name begins with "Multimodal".

    Parameters
    ----------
    results
        Scores `{model: {metric: [score, ...]}}`, higher is better; each list is averaged.
    gex_key, img_key
        Names of the expression and the image model in `results`.

    Returns
    -------
    :
        `{model: {metric: SIS}}` in the order of `results`; `compute_sis` defines the values.

    Raises
    ------
    ValueError
        If there is no multimodal model, a unimodal model is missing, or a list of scores is empty
        or has a value that is not finite.
    """
    models = [name for name in results if name.startswith(MULTIMODAL)]
    if not models:
        raise ValueError(
            f"no model is named {MULTIMODAL!r} and something{suggest(MULTIMODAL, results)}"
        )
    return {name: compute_sis(results, name, gex_key, img_key) for name in models}


def level(sis: float) -> str:
    """Return the level of a SIS: "High" (> 0.1), "Moderate" (> 0), "Low", or "Undefined" if NaN."""
    if math.isnan(sis):
        return "Undefined"
    return "High" if sis > HIGH else "Moderate" if sis > 0 else "Low"


def print_sis_summary(
    results: Results | Summary,
    model_name: str | None = None,
    gex_key: str = GEX_KEY,
    img_key: str = IMG_KEY,
) -> None:
    """Print SIS, level and absolute gain of one multimodal model, or of all.

    Parameters
    ----------
    results
        Scores `{model: {metric: [score, ...]}}`, or the result of `compute_sis_all_models`.
    model_name
        Name of the model; None prints all multimodal models.
    gex_key, img_key
        Names of the expression and the image model; not used if `results` are SIS.

    Raises
    ------
    ValueError
        If `results` lacks a model, there is no multimodal model to print, or a list of scores is
        empty or has a value that is not finite.
    """
    if model_name is None:
        summary = _summary(results, gex_key, img_key)
    elif _is_summary(results):
        summary = {model_name: cast("Summary", results)[_require_model(model_name, results)]}
    else:
        summary = {model_name: compute_sis(cast("Results", results), model_name, gex_key, img_key)}
    print("Synergistic Information Score (SIS)")  # noqa: T201 - the function prints
    for name, scores in summary.items():
        gains = scores.gain if isinstance(scores, SISResult) else {}
        print(name)  # noqa: T201
        for metric, sis in scores.items():
            gain = f"  absolute gain {gains[metric]:+.4f}" if metric in gains else ""
            print(f"  {metric:<10} {sis:+.4f}  {level(sis):<9}{gain}".rstrip())  # noqa: T201


def get_sis_ranking(
    results: Results | Summary,
    metric: str = "F1 Macro",
    gex_key: str = GEX_KEY,
    img_key: str = IMG_KEY,
) -> list[tuple[str, float]]:
    """Return (model, SIS) of every multimodal model that has a metric, by descending SIS, NaN last.

    Parameters
    ----------
    results
        Scores `{model: {metric: [score, ...]}}`, or the result of `compute_sis_all_models`.
    metric
        Name of the metric in `results`.
    gex_key, img_key
        Names of the expression and the image model; not used if `results` are SIS.

    Raises
    ------
    ValueError
        If no multimodal model has `metric`, a unimodal model is missing, or a list of scores is
        empty or has a value that is not finite.
    """
    summary = _summary(results, gex_key, img_key)
    scores = [(name, sis[metric]) for name, sis in summary.items() if metric in sis]
    if not scores:
        metrics = {name for sis in summary.values() for name in sis}
        raise ValueError(f"no model has the metric {metric!r}{suggest(metric, metrics)}")
    return sorted(scores, key=lambda pair: (math.isnan(pair[1]), -pair[1]))


def analyze_synergy_patterns(
    results: Results | Summary, gex_key: str = GEX_KEY, img_key: str = IMG_KEY
) -> pd.DataFrame:
    """Return one row per metric: mean SIS, best model, and the number of models at each level.

    Parameters
    ----------
    results
        Scores `{model: {metric: [score, ...]}}`, or the result of `compute_sis_all_models`.
    gex_key, img_key
        Names of the expression and the image model; not used if `results` are SIS.

    Returns
    -------
    :
        Columns `metric`; `n_models`, the number of multimodal models that have it; `mean`, their
        mean SIS without NaN; `best_model`, the model of the highest SIS, and that SIS, `best`; and
        the number of models at each `level`, `high, moderate, low, undefined`. If all SIS of a
        metric are NaN, `best_model` is "", and `mean` and `best` are NaN.

    Raises
    ------
    ValueError
        If there is no multimodal model, a unimodal model is missing, or a list of scores is empty
        or has a value that is not finite.
    """
    summary = _summary(results, gex_key, img_key)
    rows: list[dict[str, object]] = []
    for metric in dict.fromkeys(metric for scores in summary.values() for metric in scores):
        ranking = get_sis_ranking(summary, metric)
        defined = [sis for _, sis in ranking if not math.isnan(sis)]
        best_model, best = ranking[0] if defined else ("", math.nan)
        mean = float(np.mean(defined)) if defined else math.nan
        row = {"metric": metric, "n_models": len(ranking), "mean": mean}
        row |= {"best_model": best_model, "best": best}
        levels = [level(sis) for _, sis in ranking]
        rows.append(row | {name.lower(): levels.count(name) for name in LEVELS})
    columns = ["metric", "n_models", "mean", "best_model", "best", *map(str.lower, LEVELS)]
    return pd.DataFrame(rows, columns=columns)


def set_RESULTS(results: Results) -> None:  # noqa: N802 - the published name
    """Set the scores `{model: {metric: [score, ...]}}` that `SIS` uses, replacing others."""
    _results.clear()
    _results.update(results)


def SIS(model_name: str, gex_key: str = GEX_KEY, img_key: str = IMG_KEY) -> SISResult:  # noqa: N802
    """Return the SIS of one model for each metric, from the scores passed to `set_RESULTS`.

    Parameters
    ----------
    model_name, gex_key, img_key
        Names of the multimodal, the expression and the image model among these scores.

    Returns
    -------
    :
        `{metric: SIS}`, with the absolute gains in the attribute `gain`, as `compute_sis` does.

    Raises
    ------
    ValueError
        If no scores are set or they lack a model, or a list of scores is empty or has a value that
        is not finite.
    """
    if not _results:
        raise ValueError(
            "no results are set: call set_RESULTS(results), for the study's own scores with "
            "set_RESULTS(load_all_results(folder, dataset))"
        )
    return compute_sis(_results, model_name, gex_key, img_key)


def _is_summary(results: Results | Summary) -> bool:
    """Return whether every model and metric has one number, not a list of scores."""
    return all(isinstance(value, Real) for scores in results.values() for value in scores.values())


def _summary(results: Results | Summary, gex_key: str, img_key: str) -> Summary:
    """Return the SIS for each model and metric; `results` may be scores or a summary."""
    if results and _is_summary(results):
        return cast("Summary", results)
    return compute_sis_all_models(cast("Results", results), gex_key, img_key)


def _require_model(model: str, results: Results | Summary) -> str:
    if model not in results:
        raise ValueError(f"no model {model!r} in the results{suggest(model, results)}")
    return model


def _mean_score(results: Results, model: str, metric: str) -> float:
    scores = np.asarray(results[model][metric], dtype=np.float64)
    if scores.size == 0:
        raise ValueError(f"{model}, {metric}: the list of scores is empty; leave the metric out")
    if not np.all(np.isfinite(scores)):
        raise ValueError(f"{model}, {metric}: a score is not finite ({scores.tolist()})")
    return float(scores.mean())
