"""What the study can show: detection limits of every task and method, and of studies to come.

The table of limits (`results/limits.csv`) has two parts, named in its column `table`.

`study`: one row per data set, task, probe, quantity and method of a family of tests.

- `dataset, task, probe, metric`: `metric` is that of verdicts, bits of classifications and R2 of
  regressions. Gains in bits are shares of the entropy of the labels.
- `quantity`: `gain`, over each of the two experts, or `over the ceiling`, over the canonical
  variates (linear probes alone).
- `method, family, methods`: the method, its family of tests, and number of methods in the family.
- `donors, observations`: number of test donors, and mean number of labelled observations of each.
- `gain, gain_low, gain_high, p_corrected`: as measured.
- `spread`: standard deviation of the method's gains over donors, as measured.
- `sd`: the standard deviation that the limit assumes: the larger of `spread` and of the scale of
  the test (half the method's own variance, half the mean variance of its family); in a family
  without a significant gain at least the median over tasks, because gains of probes that read
  nothing hardly vary, which does not say how much a true gain would.
- `limit`: the smallest gain that the test finds with a probability of `limits.power`; infinite with
  too few donors.
- `tissue_gain, true_gain`: Bayes gain of the best reader of the latent states, and of the states as
  decoded from the two embeddings; empty where no truth is known.
- `ceiling`: synergy of the states as decoded, as a share of the entropy: the most that a reader of
  both embeddings can gain by synergy.
- `power`: probability with which a method that reached `true_gain` would be found.

`design`: one row per number of donors, observations of each donor, and accuracy of the experts, for
the gain over both experts of one of the paper's ten methods.

- `donors, observations`; `accuracy`: balanced accuracy with which each expert shows a binary state.
- `sd`: what `cell_synergy.studies.detection.study_sd` expects of them.
- `limit`: as above; `ceiling`: synergy of an XOR of two such states, as a share of its entropy; and
  `share`: limit as a share of the ceiling, which a method has to reach to be found.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from cell_synergy.core.names import DONOR, LINEAR, MIN_DONORS, NONLINEAR, PAPER_METHODS, UNIMODAL
from cell_synergy.pid import discrete
from cell_synergy.scoring.families import NO_FAMILY, family
from cell_synergy.scoring.inference import CONFIDENCE
from cell_synergy.scoring.tables import ALL_FOLDS, SIGNIFICANCE, is_verdict
from cell_synergy.studies.config import LimitsConfig
from cell_synergy.studies.detection import detection_limit, detection_power, study_sd

COLUMNS = [
    "table", "dataset", "task", "probe", "metric", "quantity", "method", "family", "methods",
    "donors", "observations", "gain", "gain_low", "gain_high", "p_corrected", "spread", "sd",
    "limit", "tissue_gain", "true_gain", "ceiling", "power", "accuracy", "share",
]  # fmt: skip
STUDY, DESIGN = "study", "design"
GAIN, OVER_CEILING = "gain", "over the ceiling"

_FAMILY = ["probe", "quantity", "family"]
_MEASURED = ["gain", "gain_low", "gain_high"]
_UNSHARED = ["unique_image", "unique_expression", "synergy"]


def study_limits(
    dataset: str,
    sis: pd.DataFrame,
    spectrum: pd.DataFrame,
    scores: pd.DataFrame,
    truth: pd.DataFrame,
    config: LimitsConfig,
) -> pd.DataFrame:
    """Return the detection limits of one data set: the rows `study` of the table of limits.

    Parameters
    ----------
    dataset
        Name of the data set.
    sis, spectrum
        Its SIS table, and its table of the spectral ceiling.
    scores
        Tidy scores of the stage `evaluate`.
    truth
        True decompositions of a simulated data set; without rows for real tissue.
    config
        Power and correlation.
    """
    entropy = scores.groupby(["task", "donor"])["entropy"].mean().groupby("task").mean()
    observations = scores.groupby(["task", "donor"])["n"].mean().groupby("task").mean()
    rows = pd.concat([_gains(sis), _over_ceiling(spectrum, sis, entropy)], ignore_index=True)
    if rows.empty:
        return pd.DataFrame(columns=COLUMNS)
    rows["observations"] = rows["task"].map(observations)
    rows = _with_limits(_with_truth(rows, truth), config)
    return rows.assign(table=STUDY, dataset=dataset).reindex(columns=COLUMNS)


def design_limits(config: LimitsConfig) -> pd.DataFrame:
    """Return the detection limits of studies to come: the rows `design` of the table of limits.

    Parameters
    ----------
    config
        Numbers of donors and observations, accuracies of the experts, and spreads.
    """
    ceilings = {accuracy: xor_ceiling(accuracy) for accuracy in config.accuracy}
    rows = []
    for donors in config.donors:
        for observations in config.observations:
            sd = study_sd(config.between, config.within, float(observations))
            limit = detection_limit(
                sd, donors=donors, methods=len(PAPER_METHODS), references=len(UNIMODAL),
                correlation=config.correlation, power=config.power, level=SIGNIFICANCE,
            )  # fmt: skip
            for accuracy, ceiling in ceilings.items():
                rows.append(
                    {"donors": donors, "observations": observations, "sd": sd, "limit": limit,
                     "accuracy": accuracy, "ceiling": ceiling, "share": limit / ceiling}
                )  # fmt: skip
    design = pd.DataFrame(rows).assign(table=DESIGN, quantity=GAIN, methods=len(PAPER_METHODS))
    return design.reindex(columns=COLUMNS)


def xor_ceiling(accuracy: float) -> float:
    """Return the synergy of an XOR of two binary states that are shown with a given accuracy.

    Parameters
    ----------
    accuracy
        Balanced accuracy, above .5, with which each expert shows one of the states.

    Returns
    -------
    :
        Synergy in bits, which is a share of the entropy of the XOR, one bit.
    """
    states = np.arange(2)
    table = np.zeros((2, 2, 2))
    table[states[:, None], states, states[:, None] ^ states] = 0.25
    confusion = np.array([[accuracy, 1 - accuracy], [1 - accuracy, accuracy]])
    return float(discrete.broja(discrete.decoded_joint(table, confusion, confusion)).synergy)


def _gains(sis: pd.DataFrame) -> pd.DataFrame:
    """Return the gains over both experts of all methods that are tested."""
    probed = sis["probe"].str.startswith((LINEAR, NONLINEAR)) & (sis["fold"] == ALL_FOLDS)
    rows = sis[is_verdict(sis) & probed & (sis["task"] != DONOR)]
    rows = rows.rename(columns={"n_donors": "donors"}).assign(quantity=GAIN)
    return _tested(rows)


def _over_ceiling(
    spectrum: pd.DataFrame, sis: pd.DataFrame, entropy: "pd.Series[float]"
) -> pd.DataFrame:
    """Return the gains over the canonical variates of all methods that are tested."""
    rows = spectrum[spectrum["quantity"] == "over_ceiling"]
    if rows.empty:
        return pd.DataFrame()
    rows = rows[is_verdict(rows)].rename(columns={"n_donors": "donors"})
    linear = sis.loc[sis["probe"].str.startswith(LINEAR), "probe"]
    unit = rows["task"].map(entropy).where(rows["metric"] == "bits", 1.0).to_numpy()[:, None]
    gains = rows[["value", "low", "high"]].to_numpy(np.float64) / unit
    rows = rows.assign(
        quantity=OVER_CEILING,
        probe=linear.iloc[0] if len(linear) else LINEAR,
        **dict(zip(_MEASURED, gains.T, strict=True)),
    )
    return _tested(rows)


def _tested(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of methods of a family, with its name, and the columns of the table."""
    rows = rows.assign(family=rows["method"].map(family))
    rows = rows[rows["family"] != NO_FAMILY]
    return rows.reindex(columns=[name for name in COLUMNS if name in rows])


def _with_truth(rows: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Add Bayes gains and the ceiling of synergy, where the truth is known."""
    shares = {}
    for row in truth.to_dict("records"):
        unshared = sum(max(row[name], 0.0) for name in _UNSHARED) / row["entropy"]
        synergy = max(row["synergy"], 0.0) / row["entropy"]
        shares[row["seen"], row["task"]] = {GAIN: max(row["gain"], 0.0), OVER_CEILING: unshared,
                                            "synergy": synergy}  # fmt: skip
    keys = list(zip(rows["task"], rows["quantity"], strict=True))

    def of(seen: str, task: str, quantity: str) -> float:
        value: float = shares.get((seen, task), {}).get(quantity, float("nan"))
        return value

    return rows.assign(
        tissue_gain=[of("tissue", task, quantity) for task, quantity in keys],
        true_gain=[of("embeddings", task, quantity) for task, quantity in keys],
        ceiling=[of("embeddings", task, "synergy") for task, _ in keys],
    )


def _with_limits(rows: pd.DataFrame, config: LimitsConfig) -> pd.DataFrame:
    """Add spreads, limits, and the power at the true gain."""
    quantile = stdtrit(rows["donors"] - 1, (1 + CONFIDENCE) / 2)
    half = (rows["gain_high"] - rows["gain_low"]) / 2
    rows = rows.assign(spread=half * np.sqrt(rows["donors"]) / quantile)
    rows["square"] = rows["spread"] ** 2
    of_task = rows.groupby([*_FAMILY, "task"])
    pooled = of_task["square"].transform("mean")
    smallest = of_task["p_corrected"].transform("min")
    rows["methods"] = of_task["method"].transform("count")
    typical = np.sqrt(of_task["square"].mean().groupby(_FAMILY).median()).rename("typical")
    rows = rows.join(typical, on=_FAMILY)
    sd = np.maximum(rows["spread"], np.sqrt((rows["square"] + pooled) / 2))
    rows["sd"] = sd.where(smallest < SIGNIFICANCE, np.fmax(sd, rows["typical"]))
    records = [dict(zip(rows.columns, row, strict=True)) for row in rows.to_numpy(object)]
    rows["limit"] = [_limit(row, config) for row in records]
    rows["power"] = [_power(row, config) for row in records]
    return rows


def _limit(row: Mapping[str, Any], config: LimitsConfig) -> float:
    """Return the detection limit of a row; NaN if no spread is known in spite of enough donors."""
    if np.isnan(row["sd"]):
        return float("inf") if row["donors"] < MIN_DONORS else float("nan")
    return detection_limit(row["sd"], power=config.power, **_test(row, config))


def _power(row: Mapping[str, Any], config: LimitsConfig) -> float:
    """Return the power at the true gain of a row; NaN if there is no limit or truth."""
    if np.isnan(row["sd"]) or np.isnan(row["true_gain"]):
        return float("nan")
    return detection_power(row["true_gain"], row["sd"], **_test(row, config))


def _test(row: Mapping[str, Any], config: LimitsConfig) -> dict[str, Any]:
    """Return the arguments that describe the test of a row."""
    return {
        "donors": int(row["donors"]), "methods": int(row["methods"]),
        "references": len(UNIMODAL) if row["quantity"] == GAIN else 1,
        "correlation": config.correlation, "level": SIGNIFICANCE,
    }  # fmt: skip
