"""Bias and intervals of the estimators in every design: the study's stage `calibrate` at full size.

python -m benchmarks.calibration designs=5x200,8x200 repeats=3 out=benchmarks/calibration.csv

All other parameters are those of `calibrate` in params.yaml. Rows are those of its table. The five
designs take three minutes on one core.
"""

import sys
from pathlib import Path

from pydantic import PositiveInt

from benchmarks._designs import Design
from cell_synergy.core.config import Config, arguments, load
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.downstream.information.decompose import InformationConfig
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.calibration import CalibrationConfig, calibration_table


class Args(Config):
    """Designs (test donors x observations), number of data sets of each, and the output."""

    designs: list[Design]
    repeats: PositiveInt
    out: Path


def main(args: Args) -> None:
    """Simulate, estimate, write."""
    use_threads(1)
    changes = {"designs": list(args.designs), "repeats": args.repeats}
    config = load(CalibrationConfig, "calibrate", changes)
    cells = load(InformationConfig, "information").cells
    table = calibration_table(config, load(ProbeConfig, "probe"), cells)
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.6g")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
