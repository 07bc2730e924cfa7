"""The rules that decide the paper's claims on one data set.

Each claim is a rule: a function of the study's tables that says `supported`, `not supported` or
`not testable here`, with the numbers. A rule decides by intervals over donors (95 %) and by p
values corrected for the methods compared, not by the size of an effect. `RULES` lists them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cell_synergy.comparison import require_complete
from cell_synergy.core.config import Config
from cell_synergy.data.units.dataset import Names
from cell_synergy.inference import LEAST_DONORS, Interval, inflation, paired_t
from cell_synergy.names import CONTROLS, LINEAR, UNIMODAL
from cell_synergy.scaling.curves import TUNED
from cell_synergy.scores import ALL_FOLDS

SUPPORTED, NOT_SUPPORTED, NOT_TESTABLE = "supported", "not supported", "not testable here"

_LEVEL = 0.05
_METRICS = "macro_f1", "r2"
_UNIQUE = "unique_image", "unique_expression"
_OVER_SEEDS = "all"
_DRAWN = "drawn"  # labels that shrink with the pairs


class Claims(Config):
    """Which methods and tasks the claims are about.

    Attributes
    ----------
    aligned
        Methods whose objective pulls the two modalities together.
    synergy_aware, redundant
        The method that the paper calls synergy-aware, and the one that captures redundancy.
    local, niches
        Tasks of the unit itself, and of organisation around it.
    """

    aligned: Names
    synergy_aware: str
    redundant: str
    local: Names
    niches: Names


@dataclass(frozen=True)
class Tables:
    """What the study found on one data set.

    Attributes
    ----------
    sis, information, spectrum, distance
        Tables of the stages of these names.
    scores
        Tidy scores of the stage `probe`.
    scaling
        What `cell_synergy.scaling.curves.read` returns.
    """

    sis: pd.DataFrame
    information: pd.DataFrame
    spectrum: pd.DataFrame
    distance: pd.DataFrame
    scores: pd.DataFrame
    scaling: pd.DataFrame


Finding = tuple[str, str]
"""Verdict and evidence."""


def redundancy(tables: Tables, claims: Claims) -> Finding:
    """Supported if every aligned method keeps more of what both show than of what either shows.

    Shares of the spectrum's variates and of the rest of each embedding: the interval of the first
    is above both others.
    """
    kept = _kept(tables)
    if isinstance(kept, str):
        return NOT_TESTABLE, kept
    low, high = (kept[side].loc[list(claims.aligned)] for side in ("low", "high"))
    holds = low["shared"] > high[list(_UNIQUE)].max(axis=1)
    means = kept["value"].loc[list(claims.aligned)]
    spans = [f"{means[name].min():.2f} to {means[name].max():.2f}" for name in ("shared", *_UNIQUE)]
    floor = kept["value"].loc["random"]
    return _if(
        bool(holds.all()),
        f"{holds.sum()} of {len(holds)} aligned methods; share kept of what both show {spans[0]}, "
        f"of what the image alone shows {spans[1]}, expression {spans[2]} (random projection "
        f"{floor['shared']:.2f}, {floor['unique_image']:.2f}, {floor['unique_expression']:.2f})",
    )


def ceiling(tables: Tables, claims: Claims) -> Finding:
    """Supported if no aligned method's linear score is above the spectral ceiling on any task."""
    over = tables.spectrum[tables.spectrum["quantity"] == "over_ceiling"]
    over = over[over["method"].isin(claims.aligned) & over["metric"].isin(_METRICS)]
    if over["low"].isna().all():
        return _few(tables)
    above = over[over["verdict"] == "above"]
    counts = above.groupby("task")["method"].nunique()
    top = over.sort_values("value", kind="stable").iloc[-1]
    tasks = ", ".join(f"{_words(task)} ({n})" for task, n in counts.items()) or "none"
    return _if(
        above.empty,
        f"above the best linear reader of the canonical variates on (methods of "
        f"{len(claims.aligned)}): {tasks}; most on {_words(top['task'])}, {top['method']} "
        f"{_gain(top, 'value')}",
    )


def local(tables: Tables, claims: Claims) -> Finding:
    """Supported if no fusion method is above the better expert on any local task."""
    rows = _sis(tables, claims.local)
    rows = rows[~rows["method"].isin(CONTROLS)]
    if rows.empty:
        return NOT_TESTABLE, "the data set has no local task"
    if rows["gain_low"].isna().all():
        return _few(tables)
    above = rows[rows["p_corrected"] < _LEVEL]
    found = []
    for task in rows["task"].unique():
        own = rows[rows["task"] == task].sort_values("gain", kind="stable")
        best, some = own.iloc[-1], (above["task"] == task).sum()
        found.append(
            f"{_words(task)}: {some} of {len(own)} above {best['best']} "
            f"({best['best_score']:.2f}), best {best['method']} {_gain(best, 'gain')}"
        )
    return _if(above.empty, "; ".join(found))


def niches(tables: Tables, claims: Claims) -> Finding:
    """Supported if the synergy-aware method is above the better expert on every niche task.

    Under linear probes; the bits that it certifies, and its gains in the bands of distance, stand
    beside.
    """
    rows = _sis(tables, claims.niches)
    rows = rows[rows["method"] == claims.synergy_aware]
    if rows.empty:
        return NOT_TESTABLE, "the data set has no niche task"
    if rows["gain_low"].isna().all():
        return _few(tables)
    found = [f"{_words(row['task'])} {_gain(row, 'gain')}" for _, row in rows.iterrows()]
    known = tables.information.set_index(["task", "method", "quantity"])["bits"]
    for task in rows["task"]:
        bits = known[task, "pair", "S"], known[task, claims.synergy_aware, "certified_synergy"]
        pair, own = (round(value, 2) + 0.0 for value in bits)  # no minus before a zero
        found.append(f"{_words(task)}: S {pair:.2f} bits, certified {own:.2f}")
    bands = tables.distance[tables.distance["method"] == claims.synergy_aware]
    bands = bands[bands["band"].notna() & (bands["fold"] == ALL_FOLDS)]
    bands = bands[bands["probe"].str.startswith(LINEAR)]
    above = (bands["p_corrected"] < _LEVEL).sum()
    found.append(
        f"neighbours: above the better expert in {above} of {len(bands)} targets and bands"
    )
    return _if(bool((rows["p_corrected"] < _LEVEL).all()), "; ".join(found))


def efficiency(tables: Tables, claims: Claims) -> Finding:
    """Supported if the fine-tuned expert is above every other arm on the mean over fractions.

    Labels shrink with the pairs; tasks, draws and seeds are averaged within donors. The interval of
    each difference is above 0.
    """
    rows = tables.scaling
    rows = rows[(rows["labels"] == _DRAWN) & (rows["note"] == "")]
    rows = rows[rows["metric"].isin(_METRICS) & rows["task"].isin(claims.local)]
    keys = ["task", "metric", "fraction", "donor"]
    table = rows.pivot_table(index=keys, columns="method", values="value").dropna()
    if TUNED not in table or table.empty:
        return NOT_TESTABLE, "too few pairs, or no local task, for the fine-tuned expert"
    donors = table.groupby("donor").mean()
    if len(donors) < LEAST_DONORS:
        return _few(tables)
    others = [str(arm) for arm in donors.columns.drop(TUNED)]
    differences = donors[[TUNED]].to_numpy() - donors[others].to_numpy()
    interval = _interval(differences, in_turn=len(rows["fold"].unique()) > 1)
    said = [
        f"{value:+.3f} over {arm} ({interval.low[place]:+.3f} to {interval.high[place]:+.3f})"
        for place, (arm, value) in enumerate(zip(others, differences.mean(axis=0), strict=True))
    ]
    fractions = sorted(table.index.unique("fraction"))
    least, most = fractions[0], fractions[-1]
    return _if(
        bool((interval.low > 0).all()),
        f"mean over {least:g} to {most:g} % of the pairs: {', '.join(said)}",
    )


def highest(tables: Tables, claims: Claims) -> Finding:
    """Supported if the synergy-aware method's mean over tasks is above every other fusion method's.

    Linear scores (macro F1, R2); the gain over the better expert differs from the score by the same
    number for every method. The interval of each difference is above 0.
    """
    rows = tables.scores
    rows = rows[rows["probe"].str.startswith(LINEAR) & rows["metric"].isin(_METRICS)]
    rows = rows[~rows["method"].isin([*CONTROLS, *UNIMODAL]) & (rows["task"] != "donor")]
    cells = rows.groupby(["task", "donor", "method"])["value"].mean().reset_index()
    wide = cells.pivot_table(index=["task", "donor"], columns="method", values="value")
    require_complete(wide.isna())
    donors = wide.groupby("donor").mean()
    if len(donors) < LEAST_DONORS:
        return _few(tables)
    others = donors.columns.drop(claims.synergy_aware)
    differences = donors[[claims.synergy_aware]].to_numpy() - donors[others].to_numpy()
    interval = _interval(differences, in_turn=len(rows["fold"].unique()) > 1)
    means = donors.mean().sort_values(ascending=False)
    place = list(means.index).index(claims.synergy_aware) + 1
    below = int((interval.high < 0).sum())
    return _if(
        bool((interval.low > 0).all()),
        f"place {place} of {len(means)} by the mean over {len(wide.index.unique('task'))} tasks "
        f"({means[claims.synergy_aware]:.3f}; {means.index[0]} {means.iloc[0]:.3f}); above "
        f"{int((interval.low > 0).sum())} and below {below} of {len(others)} others",
    )


def captured(tables: Tables, claims: Claims) -> Finding:
    """Supported if the method keeps more of what both show than shuffled pairs, and than the rest.

    Of intervals: that of its share of what both show is above those of the control trained on
    shuffled pairs, and of its own shares of what one expert alone shows.
    """
    kept = _kept(tables)
    if isinstance(kept, str):
        return NOT_TESTABLE, kept
    low, high, value = (kept[side] for side in ("low", "high", "value"))
    own, floor = value.loc[claims.redundant], value.loc["shuffled"]
    least = low.loc[claims.redundant, "shared"]
    rest = max(high.loc["shuffled", "shared"], *high.loc[claims.redundant, list(_UNIQUE)])
    return _if(
        bool(least > rest),
        f"{claims.redundant} keeps {own['shared']:.2f} of what both show (shuffled pairs "
        f"{floor['shared']:.2f}), {own['unique_image']:.2f} and {own['unique_expression']:.2f} of "
        "what image and expression alone show",
    )


COLLAPSE = "alignment keeps what both modalities show more than the rest"
HIGHEST = "CoMM has the highest SIS"
CAPTURED = "SimCLR captures redundancy"
RULES: Mapping[str, Callable[[Tables, Claims], Finding]] = {
    COLLAPSE: redundancy,
    "what is aligned stays at or under the linear ceiling": ceiling,
    "local tasks are served by one modality": local,
    "niches gain from synergy-aware fusion": niches,
    "fine-tuning one expert is the most sample-efficient": efficiency,
    HIGHEST: highest,
    CAPTURED: captured,
}
"""The paper's claims, and the rule that decides each."""


def _kept(tables: Tables) -> dict[str, pd.DataFrame] | str:
    """Return shares kept and their limits, a row per method; or why there are none."""
    rows = tables.spectrum[tables.spectrum["seed"] == _OVER_SEEDS]
    if "shared" not in set(rows["quantity"]):
        return "no canonical correlation is above the edge of noise"
    if rows["low"].isna().all():
        return _few(tables)[1]
    sides = "value", "low", "high"
    return {s: rows.pivot_table(index="method", columns="quantity", values=s) for s in sides}


def _sis(tables: Tables, tasks: Sequence[str]) -> pd.DataFrame:
    """Return the linear SIS over all folds of some tasks, one metric each."""
    rows = tables.sis
    rows = rows[rows["task"].isin(tasks) & rows["metric"].isin(_METRICS)]
    return rows[rows["probe"].str.startswith(LINEAR) & (rows["fold"] == ALL_FOLDS)]


def _interval(differences: np.ndarray, *, in_turn: bool) -> Interval:
    more = inflation(len(differences), in_turn=in_turn)
    return paired_t(differences).widened(np.sqrt(more))


def _few(tables: Tables) -> Finding:
    count = len(tables.scores["donor"].unique())
    return NOT_TESTABLE, f"{count} test donors, {LEAST_DONORS} needed"


def _if(holds: bool, evidence: str) -> Finding:
    return SUPPORTED if holds else NOT_SUPPORTED, evidence


def _gain(row: "pd.Series[float]", name: str) -> str:
    """Return a gain with its interval."""
    low, high = (row[f"gain_{s}"] if f"gain_{s}" in row else row[s] for s in ("low", "high"))
    return f"{row[name]:+.3f} ({low:+.3f} to {high:+.3f})"


def _words(task: object) -> str:
    return str(task).replace("_", " ")
