"""Scores and SIS by model and metric, as people pass them to the published functions of `sis`."""

from collections.abc import Collection, Iterable, Mapping
from numbers import Real

import numpy as np
from jaxtyping import Float64

from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import shortened, suggest
from cell_synergy.core.names import MIN_DONORS, is_control

MULTIMODAL = "Multimodal"  # names of multimodal models begin with it

Summary = Mapping[str, Mapping[str, float]]
"""SIS `{model: {metric: SIS}}`."""

Results = Mapping[str, Mapping[str, Collection[float] | float]]
"""Scores `{model: {metric: [score, ...]}}`; a single score may stand without its list."""


class DonorScores(list[float]):
    """Scores of one model and metric over donors and seeds: a list.

    Attributes
    ----------
    n_donors
        Number of donors that the scores are of; with several seeds the list is longer.
    """

    def __init__(self, scores: Iterable[float] = (), n_donors: int = 0) -> None:
        super().__init__(scores)
        self.n_donors = n_donors


class SISResult(dict[str, float]):
    """SIS of one multimodal model: a dictionary `{metric: SIS}`.

    Attributes
    ----------
    gain
        Absolute gain `{metric: gain}`: mean score of the model minus the better unimodal mean.
    note
        By metric, "not testable" with the reason if there are too few donors, otherwise "".
    """

    def __init__(
        self, sis: Mapping[str, float], gain: Mapping[str, float], note: Mapping[str, str]
    ) -> None:
        super().__init__(sis)
        self.gain, self.note = dict(gain), dict(note)


def require_models(results: object, *names: str) -> None:
    """Refuse results that are not metrics by the names of models, or that lack a model.

    Parameters
    ----------
    results
        What was passed as scores or SIS by model and metric.
    names
        Names of the models that `results` need.

    Raises
    ------
    DataError
        If `results` or the entry of a model is no dictionary, the name of a model is no text, or a
        model is missing.
    """
    if not isinstance(results, Mapping):
        raise DataError(
            f"results are of type {type(results).__name__}; give a dictionary {{model: {{metric: "
            "[score, ...]}}"
        )
    for model, scores in results.items():
        if not isinstance(model, str):
            raise DataError(f"a model is named {model!r}; name it with a text")
        if not isinstance(scores, Mapping):
            raise DataError(f"{model}: {shortened(scores)} is not {{metric: [score, ...]}}")
    for name in names:
        if name not in results:
            raise DataError(f"no model {name!r} in the results{suggest(name, results)}")


def _is_number(value: object) -> bool:
    """Return whether a value is a real number, other than True and False."""
    return isinstance(value, Real) and not isinstance(value, bool)


def scores_of(results: Results, model: str, metric: str) -> Float64[np.ndarray, " scores"]:
    """Return the scores of a model in a metric.

    Parameters
    ----------
    results
        Scores by model and metric.
    model, metric
        Names of a model in `results` and of a metric that it has.

    Raises
    ------
    DataError
        If there is no score, scores are nested, or one is no number or not finite.
    """
    where = f"{model}, {metric}"
    try:
        scores = np.atleast_1d(np.asarray(results[model][metric], dtype=object))
        is_nested = scores.ndim > 1 or any(np.ndim(score) for score in scores)
    except ValueError:  # lists that fit into no array
        is_nested = True
    if is_nested:
        raise DataError(f"{where}: scores are nested; give one list of numbers")
    if scores.size == 0:
        raise DataError(f"{where}: the list of scores is empty; leave the metric out")
    for score in scores:
        if not _is_number(score):
            raise DataError(
                f"{where}: {score!r:.80} is no score; give a number, or one list of numbers"
            )
    numbers = scores.astype(np.float64)
    if not np.all(np.isfinite(numbers)):
        raise DataError(f"{where}: a score is not finite ({numbers.tolist()})")
    return numbers


def testability(results: Results, models: Iterable[str], metric: str) -> str:
    """Return "" if a comparison of models can be tested, otherwise a remark with the reason.

    Lists that `load_all_results` returns say how many donors they are of. Of other lists only the
    number of scores is known; if there are several scores per donor, donors may still be too few.

    Parameters
    ----------
    results
        Scores by model and metric.
    models, metric
        Names of the models that are compared, and of the metric.
    """
    given = [results[model][metric] for model in models]
    donors = [scores.n_donors for scores in given if isinstance(scores, DonorScores)]
    unit = "donor" if len(donors) == len(given) else "score"
    sizes = donors if unit == "donor" else [np.size(np.asarray(x, dtype=object)) for x in given]
    if min(sizes) >= MIN_DONORS:
        return ""
    plural = "" if min(sizes) == 1 else "s"
    return f"not testable ({min(sizes)} {unit}{plural}, {MIN_DONORS} needed)"


def is_summary(results: Results | Summary, unimodal: tuple[str, str]) -> bool:
    """Return whether results are SIS: no unimodal model among them, and one number per metric.

    Parameters
    ----------
    results
        Scores or SIS by model and metric.
    unimodal
        Names of the two unimodal models, if `results` are scores.

    Raises
    ------
    DataError
        If `results` are no metrics by model, or numbers may be either: they are of models that are
        not named as multimodal ones.
    """
    require_models(results)
    numbers = all(_is_number(value) for scores in results.values() for value in scores.values())
    if not results or not numbers or any(name in results for name in unimodal):
        return False
    for name, scores in results.items():
        if not (name.startswith(MULTIMODAL) or isinstance(scores, SISResult)):
            raise DataError(
                f"{name}: its numbers may be scores or SIS; for scores, name the unimodal models "
                f"with gex_key and img_key; for SIS, let the name begin with {MULTIMODAL!r}"
            )
    return True


def apart(summary: Summary) -> tuple[Summary, Summary]:
    """Return the SIS of methods, and the SIS of controls."""
    methods: dict[str, Mapping[str, float]] = {}
    controls: dict[str, Mapping[str, float]] = {}
    for name, sis in summary.items():
        control = is_control(name.removeprefix(MULTIMODAL).strip())
        (controls if control else methods)[name] = sis
    return methods, controls
