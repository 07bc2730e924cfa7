"""The study's scores in the layout of the authors' released SIS functions."""

from pathlib import Path

import pandas as pd

from cell_synergy.core.config import read_param, read_section
from cell_synergy.core.names import TRANSDUCTIVE
from cell_synergy.core.pipeline import paths
from cell_synergy.scoring.model_scores import MULTIMODAL, DonorScores
from cell_synergy.scoring.tables import by_donor_and_seed, read_scores, select_rows
from cell_synergy.sis import GEX_KEY, IMG_KEY

METRIC_NAMES = {"macro_f1": "F1 Macro", "r2": "R2"}


def load_all_results(
    folder: Path | str | None = None,
    dataset: str | None = None,
    task: str | None = None,
    probe: str = "linear",
) -> dict[str, dict[str, DonorScores]]:
    """Read the study's scores as `{model: {metric: [score, ...]}}`.

    Method `expression` becomes "Unimodal GEX", `image` "Unimodal IMG", any other "Multimodal
    <method>"; `macro_f1` becomes "F1 Macro", `r2` "R2".

    Parameters
    ----------
    folder
        Folder of the tables `<dataset>/<method>.csv`; None for the output of the stage `evaluate`.
    dataset
        Name of the data set; None concatenates the scores of all `datasets` of params.yaml.
    task
        Name of the task; None averages over the tasks that have the metric.
    probe
        Name of the probe ("linear", "mlp"), without the suffix that marks features scaled per
        donor.

    Returns
    -------
    :
        `{model: {metric: [score, ...]}}`, one score per data set, donor and seed, in one order for
        all models; folds are averaged. Each list has the attribute `n_donors`.

    Raises
    ------
    FileNotFoundError
        If a data set has no scores.
    ValueError
        If the task, the probe or a score table is not valid, or methods were scored on different
        donors or seeds.
    """
    if folder is None:
        axes = {"dataset": "any", "method": "any"}
        out = paths("evaluate", axes, read_section("experts"))["out"]
        folder = Path(out).parent.parent
    results: dict[str, dict[str, DonorScores]] = {}
    for name in read_param("datasets") if dataset is None else [dataset]:
        scores = read_scores(Path(folder), name)
        _add(results, scores[scores["metric"].isin(METRIC_NAMES)], task, probe)
    return results


def _add(
    results: dict[str, dict[str, DonorScores]],
    scores: pd.DataFrame,
    task: str | None,
    probe: str,
) -> None:
    """Append the scores of one data set."""
    if task is not None:
        scores = select_rows(scores, "task", task)
    probes = scores["probe"].str.removesuffix(TRANSDUCTIVE)
    scores = select_rows(scores.assign(probe=probes), "probe", probe)
    names = {"expression": GEX_KEY, "image": IMG_KEY}
    for metric, rows in scores.groupby("metric"):
        for method, values in by_donor_and_seed(rows).items():
            model = results.setdefault(names.get(str(method), f"{MULTIMODAL} {method}"), {})
            listed = model.setdefault(METRIC_NAMES[str(metric)], DonorScores())
            listed.extend(values.tolist())
            listed.n_donors += values.index.unique("donor").size
