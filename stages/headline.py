"""The focal method's SIS per data set and task, as DVC metrics."""

import json
import sys
from pathlib import Path

import pandas as pd

from cell_synergy.core.config import Config, arguments, read_param
from cell_synergy.core.errors import ConfigError, report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.messages import suggest
from cell_synergy.core.names import DONOR, UNIMODAL
from cell_synergy.data.remarks import remarks_by_dataset
from cell_synergy.scoring.tables import ALL_FOLDS, headline_rows, read_sis


class Args(Config):
    """Inputs and outputs."""

    sis: Path
    out: Path


def main(args: Args) -> None:
    """Select the focal method's rows: macro F1 of classifications, R2 of regressions."""
    method = str(read_param("method"))
    fusion = [name for name in read_param("models") if name not in UNIMODAL]
    if method not in fusion:
        raise ConfigError(f"method: {method!r} is not a fusion method{suggest(method, fusion)}")
    headline: dict[str, dict[str, dict[str, float | None]]] = {}
    remarks: dict[str, str] = {}
    for dataset in read_param("datasets"):
        table = read_sis(args.sis, dataset)
        remarks |= remarks_by_dataset(table)
        rows = headline_rows(table, fold=ALL_FOLDS)
        rows = rows[(rows["method"] == method) & (rows["task"] != DONOR)]
        headline[dataset] = {
            str(row["task"]): {
                name: None if pd.isna(row[name]) else round(float(row[name]), 6)
                for name in ("sis", "low", "high", "gain", "score", "best_score")
            }
            for _, row in rows.iterrows()
        }
    with atomic_write(args.out) as new:
        noted = {"remarks": remarks} if remarks else {}
        new.write_text(json.dumps({"method": method, **noted, **headline}, indent=1) + "\n")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
