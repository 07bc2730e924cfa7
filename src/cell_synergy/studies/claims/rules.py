"""The rules that decide the paper's claims on one data set.

Each claim is a rule: a function of the study's tables that says `supported`, `not supported` or
`not testable here`, with the numbers. A rule decides by intervals over donors (95 %) and by p
values corrected for the methods compared, not by the size of an effect. `RULES` lists them.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from cell_synergy.core.names import CONTROLS, DONOR, LINEAR, UNIMODAL
from cell_synergy.scoring.inference import LEAST_DONORS, Interval, inflation, paired_t
from cell_synergy.scoring.reference import require_complete
from cell_synergy.scoring.tables import ALL_FOLDS
from cell_synergy.studies.claims.evidence import (
    NOT_TESTABLE,
    ClaimsConfig,
    Finding,
    Tables,
    if_holds,
    no_method,
    too_few,
)
from cell_synergy.studies.scaling.curves import TUNED

_LEVEL = 0.05
_METRICS = "macro_f1", "r2"
_UNIQUE = "unique_image", "unique_expression"
_OVER_SEEDS = "all"
_DRAWN = "drawn"  # labels that shrink with the pairs


def redundancy(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Supported if every aligned method keeps more of what both show than of what either shows.

    Shares of the spectrum's variates and of the rest of each embedding: the interval of the first
    is above both others.
    """
    if not (aligned := _aligned(tables, claims)):
        return no_method(claims.aligned)
    kept = _kept(tables)
    if isinstance(kept, str):
        return NOT_TESTABLE, kept
    low, high = (kept[side].loc[aligned] for side in ("low", "high"))
    holds = low["shared"] > high[list(_UNIQUE)].max(axis=1)
    means = kept["value"].loc[aligned]
    spans = [f"{means[name].min():.2f} to {means[name].max():.2f}" for name in ("shared", *_UNIQUE)]
    random = ""
    if "random" in kept["value"].index:
        floor = kept["value"].loc["random"]
        shares = ", ".join(f"{floor[name]:.2f}" for name in ("shared", *_UNIQUE))
        random = f" (random projection {shares})"
    return if_holds(
        bool(holds.all()),
        f"{holds.sum()} of {len(holds)} aligned methods; share kept of what both show {spans[0]}, "
        f"of what the image alone shows {spans[1]}, expression {spans[2]}{random}",
    )


def ceiling(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Supported if no aligned method's linear score is above the spectral ceiling on any task."""
    if not (aligned := _aligned(tables, claims)):
        return no_method(claims.aligned)
    over = tables.spectrum[tables.spectrum["quantity"] == "over_ceiling"]
    over = over[over["method"].isin(aligned) & over["metric"].isin(_METRICS)]
    if over.empty:
        return NOT_TESTABLE, "no task, or too few training pairs, to compare with a ceiling"
    if over["low"].isna().all():
        return too_few(tables)
    above = over[over["verdict"] == "above"]
    counts = above.groupby("task")["method"].nunique()
    top = over.sort_values("value", kind="stable").iloc[-1]
    tasks = ", ".join(f"{_words(task)} ({n})" for task, n in counts.items()) or "none"
    return if_holds(
        above.empty,
        f"above the best linear reader of the canonical variates on (methods of "
        f"{len(aligned)}): {tasks}; most on {_words(top['task'])}, {top['method']} "
        f"{_gain(top, 'value')}",
    )


def local(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Supported if no fusion method is above the better expert on any local task."""
    rows = _sis(tables, claims.local)
    rows = rows[~rows["method"].isin(CONTROLS)]
    if rows.empty:
        return NOT_TESTABLE, "the data set has no local task"
    if rows["gain_low"].isna().all():
        return too_few(tables)
    above = rows[rows["p_corrected"] < _LEVEL]
    found = []
    for task in rows["task"].unique():
        own = rows[rows["task"] == task].sort_values("gain", kind="stable")
        best, some = own.iloc[-1], (above["task"] == task).sum()
        found.append(
            f"{_words(task)}: {some} of {len(own)} above {best['best']} "
            f"({best['best_score']:.2f}), best {best['method']} {_gain(best, 'gain')}"
        )
    return if_holds(above.empty, "; ".join(found))


def niches(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Supported if the synergy-aware method is above the better expert on every niche task.

    Under linear probes; the bits that it certifies, and its gains in the bands of distance, stand
    beside.
    """
    if claims.synergy_aware not in tables.methods:
        return no_method([claims.synergy_aware])
    rows = _sis(tables, claims.niches)
    rows = rows[rows["method"] == claims.synergy_aware]
    if rows.empty:
        return NOT_TESTABLE, "the data set has no niche task"
    if rows["gain_low"].isna().all():
        return too_few(tables)
    found = [f"{_words(row['task'])} {_gain(row, 'gain')}" for _, row in rows.iterrows()]
    known = tables.information.set_index(["task", "method", "quantity"])["bits"]
    for task in rows["task"]:
        places = (task, "pair", "S"), (task, claims.synergy_aware, "certified_synergy")
        if not known.index.isin(places).any():  # a regression, or of one class
            continue
        bits = (known[place] for place in places)
        pair, own = (round(value, 2) + 0.0 for value in bits)  # no minus before a zero
        found.append(f"{_words(task)}: S {pair:.2f} bits, certified {own:.2f}")
    bands = tables.distance[tables.distance["method"] == claims.synergy_aware]
    bands = bands[bands["band"].notna() & (bands["fold"] == ALL_FOLDS)]
    bands = bands[bands["probe"].str.startswith(LINEAR)]
    above = (bands["p_corrected"] < _LEVEL).sum()
    found.append(
        f"neighbours: above the better expert in {above} of {len(bands)} targets and bands"
    )
    return if_holds(bool((rows["p_corrected"] < _LEVEL).all()), "; ".join(found))


def efficiency(tables: Tables, claims: ClaimsConfig) -> Finding:
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
        return too_few(tables)
    others = [str(arm) for arm in donors.columns.drop(TUNED)]
    differences = donors[[TUNED]].to_numpy() - donors[others].to_numpy()
    interval = _interval(differences, in_turn=len(rows["fold"].unique()) > 1)
    said = [
        f"{value:+.3f} over {arm} ({interval.low[place]:+.3f} to {interval.high[place]:+.3f})"
        for place, (arm, value) in enumerate(zip(others, differences.mean(axis=0), strict=True))
    ]
    fractions = sorted(table.index.unique("fraction"))
    least, most = fractions[0], fractions[-1]
    return if_holds(
        bool((interval.low > 0).all()),
        f"mean over {least:g} to {most:g} % of the pairs: {', '.join(said)}",
    )


def highest(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Supported if the synergy-aware method's mean over tasks is above every other fusion method's.

    Linear scores (macro F1, R2); the gain over the better expert differs from the score by the same
    number for every method. The interval of each difference is above 0.
    """
    if claims.synergy_aware not in tables.methods:
        return no_method([claims.synergy_aware])
    rows = tables.scores
    rows = rows[rows["probe"].str.startswith(LINEAR) & rows["metric"].isin(_METRICS)]
    rows = rows[~rows["method"].isin([*CONTROLS, *UNIMODAL]) & (rows["task"] != DONOR)]
    if len(rows["method"].unique()) < 2:  # noqa: PLR2004 - itself and another
        return NOT_TESTABLE, "no task, or no other fusion method, to compare by"
    cells = rows.groupby(["task", "donor", "method"])["value"].mean().reset_index()
    wide = cells.pivot_table(index=["task", "donor"], columns="method", values="value")
    require_complete(wide.isna())
    donors = wide.groupby("donor").mean()
    if len(donors) < LEAST_DONORS:
        return too_few(tables)
    others = donors.columns.drop(claims.synergy_aware)
    differences = donors[[claims.synergy_aware]].to_numpy() - donors[others].to_numpy()
    interval = _interval(differences, in_turn=len(rows["fold"].unique()) > 1)
    means = donors.mean().sort_values(ascending=False)
    place = list(means.index).index(claims.synergy_aware) + 1
    below = int((interval.high < 0).sum())
    return if_holds(
        bool((interval.low > 0).all()),
        f"place {place} of {len(means)} by the mean over {len(wide.index.unique('task'))} tasks "
        f"({means[claims.synergy_aware]:.3f}; {means.index[0]} {means.iloc[0]:.3f}); above "
        f"{int((interval.low > 0).sum())} and below {below} of {len(others)} others",
    )


def captured(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Supported if the method keeps more of what both show than shuffled pairs, and than the rest.

    Of intervals: that of its share of what both show is above those of the control trained on
    shuffled pairs, and of its own shares of what one expert alone shows.
    """
    if absent := [n for n in (claims.redundant, "shuffled") if n not in tables.methods]:
        return no_method(absent)
    kept = _kept(tables)
    if isinstance(kept, str):
        return NOT_TESTABLE, kept
    low, high, value = (kept[side] for side in ("low", "high", "value"))
    own, floor = value.loc[claims.redundant], value.loc["shuffled"]
    least = low.loc[claims.redundant, "shared"]
    rest = max(high.loc["shuffled", "shared"], *high.loc[claims.redundant, list(_UNIQUE)])
    return if_holds(
        bool(least > rest),
        f"{claims.redundant} keeps {own['shared']:.2f} of what both show (shuffled pairs "
        f"{floor['shared']:.2f}), {own['unique_image']:.2f} and {own['unique_expression']:.2f} of "
        "what image and expression alone show",
    )


COLLAPSE = "alignment keeps what both modalities show more than the rest"
HIGHEST = "CoMM has the highest SIS"
CAPTURED = "SimCLR captures redundancy"
RULES: Mapping[str, Callable[[Tables, ClaimsConfig], Finding]] = {
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
    if rows.empty:
        return "too few training pairs to say what both modalities show"
    if "shared" not in set(rows["quantity"]):
        return "no canonical correlation is above the edge of noise"
    if rows["low"].isna().all():
        return too_few(tables)[1]
    sides = "value", "low", "high"
    return {s: rows.pivot_table(index="method", columns="quantity", values=s) for s in sides}


def _aligned(tables: Tables, claims: ClaimsConfig) -> list[str]:
    """Return the aligned methods that are in the study."""
    return [name for name in claims.aligned if name in tables.methods]


def _sis(tables: Tables, tasks: Sequence[str]) -> pd.DataFrame:
    """Return the linear SIS over all folds of some tasks, one metric each."""
    rows = tables.sis
    rows = rows[rows["task"].isin(tasks) & rows["metric"].isin(_METRICS)]
    return rows[rows["probe"].str.startswith(LINEAR) & (rows["fold"] == ALL_FOLDS)]


def _interval(differences: np.ndarray, *, in_turn: bool) -> Interval:
    more = inflation(len(differences), in_turn=in_turn)
    return paired_t(differences).widened(np.sqrt(more))


def _gain(row: "pd.Series[float]", name: str) -> str:
    """Return a gain with its interval."""
    low, high = (row[f"gain_{s}"] if f"gain_{s}" in row else row[s] for s in ("low", "high"))
    return f"{row[name]:+.3f} ({low:+.3f} to {high:+.3f})"


def _words(task: object) -> str:
    return str(task).replace("_", " ")
