"""The focal method's gain and SIS per data set and task, as DVC metrics."""

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
from cell_synergy.scoring.tables import ALL_FOLDS, headline_rows, paper_rows, read_sis

GAIN = ["gain", "gain_low", "gain_high", "p_corrected", "score"]


class Args(Config):
    """Inputs and outputs."""

    sis: Path
    out: Path


def main(args: Args) -> None:
    """Select the focal method's rows: its gain in bits or R2, the SIS in macro F1 or R2."""
    method = str(read_param("method"))
    fusion = [name for name in read_param("models") if name not in UNIMODAL]
    if method not in fusion:
        raise ConfigError(f"method: {method!r} is not a fusion method{suggest(method, fusion)}")
    headline: dict[str, dict[str, dict[str, float | None]]] = {}
    remarks: dict[str, str] = {}
    for dataset in read_param("datasets"):
        table = read_sis(args.sis, dataset)
        remarks |= remarks_by_dataset(table)
        table = table[(table["method"] == method) & (table["task"] != DONOR)]
        sis = paper_rows(table, fold=ALL_FOLDS).set_index("task")["sis"]
        rows = headline_rows(table, fold=ALL_FOLDS).set_index("task")
        rows = rows[GAIN].assign(sis=sis.reindex(rows.index))
        headline[dataset] = {
            str(task): {
                str(name): None if pd.isna(value) else round(float(value), 6)
                for name, value in row.items()
            }
            for task, row in rows.iterrows()
        }
    with atomic_write(args.out) as new:
        noted = {"remarks": remarks} if remarks else {}
        new.write_text(json.dumps({"method": method, **noted, **headline}, indent=1) + "\n")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
