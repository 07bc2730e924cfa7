"""Tables of a data set on which every rule can be decided either way."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.studies.claims.evidence import ClaimsConfig, Tables
from cell_synergy.studies.config import LimitsConfig
from cell_synergy.studies.limits import study_limits

ALIGNED = ["cca", "simclr"]
METHODS = ["concat", *ALIGNED, "comm"]
PRODUCTS = ["bilinear"]
LIMITS = LimitsConfig(
    power=0.8, correlation=0.5, between=0.0, within=0.5, donors=[8], observations=[9],
    accuracy=[0.9],
)  # fmt: skip
CONTROLS = ["shuffled", "random", "pca", "comm_image"]
DONORS = [f"D{i}" for i in range(6)]
ENTROPY = 2.0  # of every task, bits
TASKS = "cell_type", "region", "niche", "xor"


@pytest.fixture
def claims():
    return ClaimsConfig(
        aligned=["cca", "simclr"], products=PRODUCTS, synergy_aware="comm", redundant="simclr",
        local=["cell_type", "region"], niches=["niche", "xor"], negative_controls=["xor"],
        zero=0.01, relevant=0.3,
    )  # fmt: skip


def kept(values):
    """Return shares kept; `values` of a method are those of what both, image, expression show."""
    names = "shared", "unique_image", "unique_expression"
    rows = [
        {"quantity": q, "method": m, "seed": "all", "value": v, "low": v - 0.05, "high": v + 0.05}
        for m, own in values.items()
        for q, v in zip(names, own, strict=True)
    ]
    return pd.DataFrame(rows)


def directions():
    row = {"quantity": "directions", "space": "axes", "pairs": "own", "fraction": 100.0, "value": 3}
    return pd.DataFrame([row])


def over_ceiling(p, half=0.2):
    """Return gains over the ceiling in bits; `p` is the corrected p of each method, else 0.5."""
    rows = [
        {"quantity": "over_ceiling", "method": m, "task": "cell_type", "metric": "bits",
         "value": 0.1, "low": 0.1 - half, "high": 0.1 + half, "p_corrected": p.get(m, 0.5),
         "n_donors": 6}
        for m in METHODS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def spectrum(*parts):
    return pd.concat([*parts, directions()]).assign(dataset="lung")


def sis(p, half=0.1, alone=np.nan):
    """Return SIS rows; `p` is the corrected p of each task and method, else 0.5."""
    rows = [
        {"dataset": "lung", "task": t, "method": m, "metric": metric, "probe": "linear",
         "fold": "all", "best": "image", "score": 0.7, "best_score": 0.6, "gain": 0.1 - 0.01 * i,
         "gain_low": 0.1 - 0.01 * i - half, "gain_high": 0.1 - 0.01 * i + half, "p": np.nan,
         "p_corrected": p.get((t, m), 0.5) if m not in CONTROLS and metric == "bits" else np.nan,
         "alone_gain": alone, "alone_low": alone, "alone_high": alone, "sis": 0.1, "low": 0.0,
         "high": 0.2, "n_donors": 6, "note": ""}
        for t in TASKS
        for metric in ("bits", "macro_f1")
        for i, m in enumerate([*METHODS, *PRODUCTS, *CONTROLS])
    ]  # fmt: skip
    return pd.DataFrame(rows)


def truth(**gains):
    """Return true decompositions; `gains` are those of tasks, as shares of the label entropy."""
    rows = [
        {"dataset": "lung", "task": t, "seen": seen, "redundant": 0.0 if t == "xor" else 0.5,
         "unique_image": 0.0 if t == "xor" else 0.3, "unique_expression": 0.0,
         "synergy": share * ENTROPY, "entropy": ENTROPY, "gain": share}
        for t, gain in gains.items()
        for seen, share in (("tissue", 0.9), ("embeddings", gain))
    ]  # fmt: skip
    columns = ["dataset", "task", "seen", "entropy", "gain"]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


def scores(means, donors=DONORS):
    """Return scores in bits around the methods' means, each donor with its own level."""
    noise = np.random.default_rng(0).normal(0, 0.005, (len(means), len(donors)))
    rows = [
        {"dataset": "lung", "task": t, "method": m, "metric": "bits", "probe": "linear",
         "fold": "holdout", "donor": d, "seed": 0, "value": v + 0.05 * j + noise[i, j],
         "n": 9, "chance": 0.0, "entropy": ENTROPY}
        for t in ("cell_type", "niche", "xor")
        for i, (m, v) in enumerate(means.items())
        for j, d in enumerate(donors)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def scaling(means, donors=DONORS):
    table = scores(means, donors)
    f1 = table.assign(metric="macro_f1", value=-table["value"])
    parts = [
        part.assign(fraction=f, draw=0, labels="drawn", note="")
        for f in (10.0, 100.0)
        for part in (table, f1)
    ]
    other = table.assign(fraction=10.0, draw=0, labels="all", note="", value=0.0)
    refused = table.head(1).assign(fraction=1.0, labels="drawn", note="11 pairs", value=np.nan)
    return pd.concat([*parts, other, refused]).assign(expression_expert="small")


def information(low=0.05, high=0.3):
    rows = [
        ("lung", t, m, q, "linear", bits, low, high)
        for t in ("niche", "xor")
        for m, q, bits in (("pair", "S", 0.2), ("comm", "certified_synergy", 0.1))
    ]
    columns = ["dataset", "task", "method", "quantity", "probe", "bits", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def distance():
    rows = [
        ("comm", 1, "all", "linear", "bits", 0.01), ("comm", 2, "all", "linear", "bits", 0.5),
        ("comm", None, "all", "linear", "bits", 0.01), ("comm", 1, "all", "mlp", "bits", 0.01),
        ("comm", 1, "all", "linear", "macro_f1", np.nan),
        ("comm", 3, "all", "linear", "bits", np.nan), ("comm", 1, "T1", "linear", "bits", np.nan),
        ("cca", 1, "all", "linear", "bits", 0.01),
    ]  # fmt: skip
    columns = ["method", "band", "fold", "probe", "metric", "p_corrected"]
    return pd.DataFrame(rows, columns=columns).assign(dataset="lung", task="neighbours niche 1")


SHARES = {
    "cca": (0.9, 0.2, 0.3), "simclr": (0.8, 0.3, 0.2), "shuffled": (0.5, 0.3, 0.2),
    "random": (0.5, 0.5, 0.1), "comm": (0.9, 0.9, 0.9),
}  # fmt: skip
PLAIN = {"concat": 0.5, "cca": 0.5, "simclr": 0.5, "comm": 0.7, "image": 0.5, "shuffled": 0.9}
ARMS = {
    "comm": 0.5, "concat": 0.5, "image": 0.3, "expression": 0.4, "prior": 0.1, "finetuned": 0.7,
}  # fmt: skip
TRUE = {"cell_type": 0.0, "region": 0.0, "niche": 0.4, "xor": 0.4}


def made(**changed):
    """Return tables that support every claim, with some of them changed."""
    whole = {
        "sis": sis({("niche", "comm"): 0.01}), "information": information(),
        "spectrum": spectrum(kept(SHARES), over_ceiling({})), "distance": distance(),
        "truth": truth(**TRUE), "scores": scores(PLAIN), "scaling": scaling(ARMS),
        "methods": frozenset([*METHODS, *PRODUCTS, *CONTROLS, "image", "expression"]),
        "power": LIMITS.power,
    } | changed  # fmt: skip
    inputs = {name: whole[name] for name in ("sis", "spectrum", "scores", "truth")}
    limits = study_limits("lung", **inputs, config=LIMITS)
    return Tables(**{"limits": limits} | whole)
