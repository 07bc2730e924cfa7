"""Bias and intervals of the estimators on simulations with known decompositions."""

import sys
from pathlib import Path

from cell_synergy.core.config import Config, arguments, load, read_param
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.downstream.information.decompose import InformationConfig
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.calibration import CalibrationConfig, calibration_table


class Args(Config):
    """Outputs."""

    out: Path


def main(args: Args) -> None:
    """Simulate, estimate, write."""
    use_threads(read_param("threads"))
    cells = load(InformationConfig, "information").cells
    results = calibration_table(
        load(CalibrationConfig, "calibrate"), load(ProbeConfig, "probe"), cells
    )
    with atomic_write(args.out) as new:
        results.to_csv(new, index=False, float_format="%.6g")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
