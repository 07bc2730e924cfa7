"""Trifeature with every method and three seeds: the table of the CoMM paper, on embeddings.

python benchmarks/trifeature.py [METHOD ...]

Balanced accuracy of linear and nonlinear probes in per cent, median and range over seeds; chance is
10, 10, 10 and 50. Settings are those of the stage `trifeature` in params.yaml. Ten minutes or so on
one core.
"""

import sys

import pandas as pd

from cell_synergy import models
from cell_synergy.core.config import load, load_keys, merge, read_param, read_section
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.names import UNIMODAL
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.trifeature.trifeature_scores import score_method
from cell_synergy.studies.trifeature.world import TrifeatureConfig

SEEDS = 3
NEEDS_DONORS = "shuffled"  # a control
TASKS = ["redundancy", "unique_image", "unique_expression", "synergy"]


def row(table: pd.DataFrame, probe: str) -> str:
    """Return median and range of each task under one probe."""
    cells = []
    for task in TASKS:
        percent = 100 * table.loc[(table["task"] == task) & (table["probe"] == probe), "value"]
        cells.append(f"{percent.median():5.1f} ({percent.min():.1f}-{percent.max():.1f})")
    return " | ".join(f"{cell:20}" for cell in cells)


def main(names: list[str]) -> None:
    """Score the named methods, or all fusion methods and controls of two modalities."""
    use_threads(read_param("threads"))
    settings = load_keys(TrifeatureConfig, "trifeature").model_copy(update={"seeds": SEEDS})
    training = merge(read_section("training"), {"max_epochs": settings.max_epochs})
    probe = load(ProbeConfig, "probe")
    print(f"{'':12} | {'probe':6} | " + " | ".join(f"{task:20}" for task in TASKS))
    for name in names or [n for n in models.names() if not n.endswith((*UNIMODAL, NEEDS_DONORS))]:
        block = merge(
            read_section(f"models.{name}"), read_section("trifeature.methods").get(name, {})
        )
        table = score_method(name, models.load(name, block), settings, training, probe)
        for kind in ("linear", "mlp"):
            print(f"{name:12} | {kind:6} | {row(table, kind)}", flush=True)


if __name__ == "__main__":
    with report_errors(__doc__):
        main(sys.argv[1:])
