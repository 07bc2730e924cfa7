"""Coverage of the intervals of R, U and S, on data sets that nothing was fitted on.

python -m benchmarks.coverage designs=5x200,8x200 repeats=20 seed=20000 out=benchmarks/coverage.csv

Simulates data sets of each design (test donors x observations) as the study `calibrate` does, with
its other parameters, on another seed than the study's, on which the allowance of the intervals was
fitted: with twenty repeats 5 gates x 4 parts x 20 = 400 intervals per design. An interrupted run
continues. All five designs take about 20 minutes on one core.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from pydantic import PositiveInt

from benchmarks._designs import Design
from cell_synergy.core.config import Config, arguments, load
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import ConfigError, report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.resume.part_store import PartStore, Row, resumable
from cell_synergy.downstream.information.decompose import InformationConfig
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.calibration import CalibrationConfig, Replicate, gate_rows
from cell_synergy.studies.coverage import coverage


class Args(Config):
    """Designs, number of data sets of each, their seed, and the output."""

    designs: list[Design]
    repeats: PositiveInt
    seed: int
    out: Path

    def calibration(self) -> CalibrationConfig:
        """Return the section `calibrate` with these designs and this seed.

        Raises
        ------
        ConfigError
            If the seed is that of the study, or the designs are not of the form `8x200`.
        """
        if self.seed == load(CalibrationConfig, "calibrate").seed:
            raise ConfigError(
                f"seed={self.seed} is calibrate.seed, on which the intervals were fitted; "
                "choose another"
            )
        changes = {"designs": list(self.designs), "seed": self.seed, "repeats": self.repeats}
        return load(CalibrationConfig, "calibrate", changes)


def rows(
    config: CalibrationConfig, probe: ProbeConfig, cells: int, store: PartStore
) -> Iterator[Row]:
    """Yield the estimates of all data sets; those in the store are not computed again."""
    for donors, n_obs in config.sizes():
        for repeat in range(config.repeats):
            replicate = Replicate(config, donors, n_obs, repeat)
            key = {"donors": donors, "units": n_obs, "repeat": repeat}

            def estimate(of: Replicate = replicate) -> list[Row]:
                return list(gate_rows(of, probe, cells))

            part = store.rows(f"{donors}x{n_obs} {repeat}", estimate)
            yield from (key | row for row in part)


def main(args: Args) -> None:
    """Simulate, estimate, print, write."""
    use_threads(1)
    config, probe = args.calibration(), load(ProbeConfig, "probe")
    cells = load(InformationConfig, "information").cells
    with resumable("coverage", config.model_dump(), probe.model_dump(), cells) as store:
        summary = coverage(pd.DataFrame(rows(config, probe, cells, store)))
        print(summary.to_string(index=False, float_format="%.3f"))
        with atomic_write(args.out) as new:
            summary.to_csv(new, index=False, float_format="%.4g")


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True, bare=False):
        main(arguments(Args, sys.argv[1:]))
