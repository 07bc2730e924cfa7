"""Tables of a data set on which every rule can be decided either way."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.studies.claims.evidence import ClaimsConfig, Tables

ALIGNED = ["cca", "simclr"]
METHODS = ["concat", *ALIGNED, "comm"]
CONTROLS = ["shuffled", "random", "pca"]
DONORS = [f"D{i}" for i in range(6)]


@pytest.fixture
def claims():
    return ClaimsConfig(
        aligned=["cca", "simclr"], synergy_aware="comm", redundant="simclr",
        local=["cell_type", "region"], niches=["niche"],
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


def over_ceiling(verdicts):
    rows = [
        {"quantity": "over_ceiling", "method": m, "task": "cell_type", "metric": "macro_f1",
         "value": 0.1, "low": 0.0, "high": 0.2, "verdict": v}
        for m, v in verdicts.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def sis(p):
    """Return SIS rows; `p` is the corrected p of each task and method, else 0.5."""
    rows = [
        {"task": t, "method": m, "metric": "macro_f1", "probe": "linear", "fold": "all",
         "best": "image", "best_score": 0.6, "gain": 0.1 - 0.01 * i, "gain_low": 0.0,
         "gain_high": 0.2, "sis": 0.1, "low": 0.0, "high": 0.2,
         "p_corrected": np.nan if m in CONTROLS else p.get((t, m), 0.5)}
        for t in ("cell_type", "region", "niche")
        for i, m in enumerate([*METHODS, *CONTROLS])
    ]  # fmt: skip
    return pd.DataFrame(rows)


def scores(means, donors=DONORS):
    """Return scores of methods around their means, each donor with its own level."""
    noise = np.random.default_rng(0).normal(0, 0.005, (len(means), len(donors)))
    rows = [
        {"task": t, "method": m, "metric": "macro_f1", "probe": "linear", "fold": "holdout",
         "donor": d, "seed": 0, "value": v + 0.05 * j + noise[i, j]}
        for t in ("cell_type", "niche")
        for i, (m, v) in enumerate(means.items())
        for j, d in enumerate(donors)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def scaling(means, donors=DONORS):
    table = scores(means, donors)
    parts = [table.assign(fraction=f, draw=0, labels="drawn", note="") for f in (10.0, 100.0)]
    other = table.assign(fraction=10.0, draw=0, labels="all", note="", value=0.0)
    refused = table.head(1).assign(fraction=1.0, labels="drawn", note="11 pairs", value=np.nan)
    return pd.concat([*parts, other, refused])


def information():
    rows = [("niche", "pair", "S", 0.2), ("niche", "comm", "certified_synergy", 0.1)]
    return pd.DataFrame(rows, columns=["task", "method", "quantity", "bits"])


def distance():
    rows = [
        ("comm", 1, "all", "linear", 0.01), ("comm", 2, "all", "linear", 0.5),
        ("comm", None, "all", "linear", 0.01), ("comm", 1, "all", "mlp", 0.01),
        ("comm", 1, "T1", "linear", np.nan), ("cca", 1, "all", "linear", 0.01),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["method", "band", "fold", "probe", "p_corrected"])


def made(**changed):
    """Return tables that support every claim, with some of them changed."""
    shares = {"cca": (0.9, 0.2, 0.3), "simclr": (0.8, 0.3, 0.2)}
    shares |= {"shuffled": (0.5, 0.3, 0.2), "random": (0.5, 0.5, 0.1), "comm": (0.9, 0.9, 0.9)}
    spectrum = pd.concat([kept(shares), over_ceiling({"cca": "at", "simclr": "below"})])
    plain = {"concat": 0.5, "cca": 0.5, "simclr": 0.5, "comm": 0.7, "image": 0.5, "shuffled": 0.9}
    arms = {"comm": 0.5, "concat": 0.5, "frozen": 0.4, "finetuned": 0.7}
    whole = {
        "sis": sis({("niche", "comm"): 0.01}), "information": information(), "spectrum": spectrum,
        "distance": distance(), "scores": scores(plain), "scaling": scaling(arms),
        "methods": frozenset([*METHODS, *CONTROLS, "image", "expression"]),
    }  # fmt: skip
    return Tables(**whole | changed)
