"""The Synergistic Information Score (SIS): the relative gain of two modalities over the better one.

    SIS(Y; Z1, Z2) = (I(Y; Z3) - max(I(Y; Z1), I(Y; Z2))) / max(I(Y; Z1), I(Y; Z2))

Z1 and Z2 are the unimodal representations, Z3 the multimodal one, and I is approximated by the
macro F1 or R2 of a probe. In exact mutual information SIS = (S + min(U1, U2)) / (R + max(U1, U2)),
with the terms of a partial information decomposition (`cell_synergy.pid.discrete`): both synergy S
and unique information U1, U2 of both modalities raise it.

`results` is `{model: {metric: [score, ...]}}`; names of multimodal models begin with "Multimodal".
Controls, such as "Multimodal shuffled" (`core.names.is_control` knows them), are listed apart and
neither ranked nor counted. Scores and SIS are told apart by content: results with a unimodal model
are scores, also where a score stands without a list; multimodal models alone, with one number per
metric, are SIS. Input that cannot be used is a `DataError`, which is a `ValueError`.
"""

import math
import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import cast

import numpy as np
import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest
from cell_synergy.scoring.model_scores import (
    MULTIMODAL,
    Results,
    SISResult,
    Summary,
    apart,
    is_summary,
    require_models,
    scores_of,
    testability,
)

GEX_KEY = "Unimodal GEX"
IMG_KEY = "Unimodal IMG"
HIGH = 0.1
LEVELS = "High", "Moderate", "Low", "Undefined"

_SMALLEST = 1e-6  # a smaller reference score is zero but for rounding in single precision
_results: dict[str, Mapping[str, Collection[float] | float]] = {}


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
        `{metric: SIS}`, with the absolute gains in the attribute `gain`; negative ones are losses.
        If the better unimodal score is below 1e-6, the SIS is NaN, with a warning.

    Raises
    ------
    DataError
        If `results` lacks a model, or the scores of a metric are no finite numbers, nested or none.
    """
    models = multimodal_model, gex_key, img_key
    require_models(results, *models)
    sis, gains, notes = {}, {}, {}
    for metric in results[multimodal_model]:
        if metric not in results[gex_key] or metric not in results[img_key]:
            continue
        score, *unimodal = (float(scores_of(results, model, metric).mean()) for model in models)
        gains[metric] = score - max(unimodal)
        sis[metric] = _ratio(gains[metric], max(unimodal), f"{multimodal_model}, {metric}")
        notes[metric] = testability(results, models, metric)
    return SISResult(sis, gains, notes)


def _ratio(gain: float, best: float, where: str) -> float:
    """Return a gain relative to the better unimodal score; NaN with a warning if there is none."""
    if best >= _SMALLEST:
        return gain / best
    reason = "not positive" if best <= 0 else "zero but for rounding"
    warnings.warn(
        f"{where}: the best unimodal score is {best:.4g}, which is {reason}, so there is no "
        f"relative gain (absolute: {gain:+.4g})",
        stacklevel=3,
    )
    return math.nan


def compute_sis_all_models(
    results: Results, gex_key: str = GEX_KEY, img_key: str = IMG_KEY
) -> dict[str, SISResult]:
    """Return the SIS of every model whose name begins with "Multimodal", controls included.

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
    DataError
        If there is no multimodal model, or as `compute_sis` does.
    """
    require_models(results)
    models = [name for name in results if name.startswith(MULTIMODAL)]
    if not models:
        raise DataError(
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
    """Print SIS, level and absolute gain of one multimodal model, or of all, controls last.

    A negative SIS is printed as "Low (loss)". Beside the SIS of fewer than five donors, or scores
    where donors are unknown (`load_all_results` tells them), stands "not testable".

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
    DataError
        If `results` lacks a model, there is no multimodal model to print, numbers may be scores or
        SIS, or as `compute_sis` does.
    """
    if model_name is None:
        summary = _summary(results, gex_key, img_key)
    elif is_summary(results, (gex_key, img_key)):
        require_models(results, model_name)
        summary = {model_name: cast("Summary", results)[model_name]}
    else:
        summary = {model_name: compute_sis(results, model_name, gex_key, img_key)}
    methods, controls = apart(summary)
    print("Synergistic Information Score (SIS)")  # noqa: T201 - the function prints
    for heading, models in (("", methods), ("Controls", controls)):
        if heading and models:
            print(heading)  # noqa: T201
        for name, scores in models.items():
            print("\n".join([name, *map(str.rstrip, _lines(scores))]))  # noqa: T201


def _lines(scores: Mapping[str, float]) -> Iterator[str]:
    """Yield the line of each metric in the summary of one model."""
    gains, notes = (scores.gain, scores.note) if isinstance(scores, SISResult) else ({}, {})
    for metric, sis in scores.items():
        shown = f"{level(sis)} (loss)" if sis < 0 else level(sis)
        gain = f"  absolute gain {gains[metric]:+.4f}" if metric in gains else ""
        yield f"  {metric:<10} {sis:+.4f}  {shown:<10}{gain}  {notes.get(metric, '')}"


def get_sis_ranking(
    results: Results | Summary,
    metric: str = "F1 Macro",
    gex_key: str = GEX_KEY,
    img_key: str = IMG_KEY,
) -> list[tuple[str, float]]:
    """Return (model, SIS) of every multimodal model that has a metric, by descending SIS, NaN last.

    Controls are left out: they are no competitors. `print_sis_summary` lists them.

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
    DataError
        If no multimodal model has `metric`, or only controls have it; or as `print_sis_summary`
        does.
    """
    methods, controls = apart(_summary(results, gex_key, img_key))
    scores = [(name, sis[metric]) for name, sis in methods.items() if metric in sis]
    if not scores:
        if only := [name for name, sis in controls.items() if metric in sis]:
            raise DataError(f"only controls have the metric {metric!r} ({', '.join(only)})")
        metrics = {name for sis in methods.values() for name in sis}
        raise DataError(f"no model has the metric {metric!r}{suggest(metric, metrics)}")
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
        Columns `metric`; `n_models`, the number of multimodal models that have it, without
        controls; `mean`, their mean SIS without NaN; `best_model`, the model of the highest SIS,
        and that SIS, `best`; the number of models at each `level`, `high, moderate, low,
        undefined`; and `loss`, how many of the `low` ones are negative. If all SIS of a metric are
        NaN, `best_model` is "", and `mean` and `best` are NaN.

    Raises
    ------
    DataError
        As `print_sis_summary` does.
    """
    methods, _ = apart(_summary(results, gex_key, img_key))
    rows: list[dict[str, object]] = []
    for metric in dict.fromkeys(metric for scores in methods.values() for metric in scores):
        ranking = get_sis_ranking(methods, metric)
        defined = [sis for _, sis in ranking if not math.isnan(sis)]
        best_model, best = ranking[0] if defined else ("", math.nan)
        mean = float(np.mean(defined)) if defined else math.nan
        row = {"metric": metric, "n_models": len(ranking), "mean": mean}
        row |= {"best_model": best_model, "best": best}
        levels = [level(sis) for _, sis in ranking]
        row |= {name.lower(): levels.count(name) for name in LEVELS}
        rows.append(row | {"loss": sum(sis < 0 for sis in defined)})
    counts = [*map(str.lower, LEVELS), "loss"]
    return pd.DataFrame(rows, columns=["metric", "n_models", "mean", "best_model", "best", *counts])


def set_RESULTS(results: Results) -> None:  # noqa: N802 - the published name
    """Set the scores `{model: {metric: [score, ...]}}` that `SIS` uses, replacing others."""
    require_models(results)
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
    DataError
        If no scores are set, or as `compute_sis` does.
    """
    if not _results:
        raise DataError(
            "no results are set: call set_RESULTS(results), for the study's own scores with "
            "set_RESULTS(load_all_results(folder, dataset))"
        )
    return compute_sis(_results, model_name, gex_key, img_key)


def _summary(results: Results | Summary, gex_key: str, img_key: str) -> Summary:
    """Return the SIS for each model and metric; `results` may be scores or a summary."""
    if is_summary(results, (gex_key, img_key)):
        return cast("Summary", results)
    return compute_sis_all_models(results, gex_key, img_key)
