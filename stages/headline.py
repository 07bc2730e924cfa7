"""The focal method's SIS per data set and task, as DVC metrics."""

import json
import sys
from pathlib import Path

import pandas as pd

from cell_synergy.core.config import Config, arguments, suggest, value
from cell_synergy.core.errors import ConfigError, reported
from cell_synergy.core.files import atomic
from cell_synergy.core.names import DONOR, UNIMODAL
from cell_synergy.data.remarks import of_datasets
from cell_synergy.scoring.tables import ALL_FOLDS, read_sis


class Args(Config):
    """Inputs and outputs."""

    sis: Path
    out: Path


def main(args: Args) -> None:
    """Pick the focal method's rows; scores are macro F1 of classes, R2 of regressions."""
    method = str(value("method"))
    known = [name for name in value("models") if name not in UNIMODAL]
    if method not in known:
        raise ConfigError(f"method: {method!r} is no fusion method{suggest(method, known)}")
    headline: dict[str, dict[str, dict[str, float | None]]] = {}
    remarks: dict[str, str] = {}
    for dataset in value("datasets"):
        table = read_sis(args.sis, dataset)
        remarks |= of_datasets(table)
        chosen = table[
            (table["method"] == method)
            & (table["fold"] == ALL_FOLDS)
            & table["metric"].isin(["macro_f1", "r2"])
            & table["probe"].str.startswith("linear")
            & (table["task"] != DONOR)
        ]
        headline[dataset] = {
            str(row["task"]): {
                name: None if pd.isna(row[name]) else round(float(row[name]), 6)
                for name in ("sis", "low", "high", "gain", "score", "best_score")
            }
            for _, row in chosen.iterrows()
        }
    with atomic(args.out) as new:
        told = {"remarks": remarks} if remarks else {}
        new.write_text(json.dumps({"method": method, **told, **headline}, indent=1) + "\n")


if __name__ == "__main__":
    with reported(__doc__):
        main(arguments(Args, sys.argv[1:]))
