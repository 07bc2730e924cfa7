"""Coverage of the intervals of R, U and S, on data sets that nothing was fitted on.

python benchmarks/coverage.py FOLDER [DESIGN ...]

Simulates twenty data sets of each design of the study `calibrate` (params.yaml), on another seed
than the study's: 5 gates x 4 parts x 20 = 400 intervals per design. Each data set's rows are
written to a folder in FOLDER that is named by a hash of code, parameters and machine. A data set
that is there already is not computed again, so that an interrupted run continues, and several
processes can share FOLDER with a DESIGN each, such as `8x200`; after any change all are computed
anew. Without DESIGN all are computed. When every data set of all designs is there, their summary is
written to benchmarks/coverage.csv. All take about 20 minutes on one core.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cell_synergy.core.config import load
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import ConfigError, report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.resume.scratch import run_hash
from cell_synergy.downstream.information.decompose import InformationConfig
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.calibration import CalibrationConfig, Replicate, gate_rows
from cell_synergy.studies.coverage import coverage

REPEATS = 20
SEED = 20_000  # not that of the study, on which the allowance of the intervals was fitted


@dataclass(frozen=True)
class Study:
    """The data sets of all designs, and the files of their rows.

    Attributes
    ----------
    config, probe, cells
        Configurations of data sets and probes, and `cells` of `InformationConfig`.
    folder
        Folder of the files, one for each code, configuration and machine.
    """

    config: CalibrationConfig
    probe: ProbeConfig
    cells: int
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> "Study":
        """Load the configuration, and choose its folder in another one."""
        config = load(CalibrationConfig, "calibrate").model_copy(update={"seed": SEED})
        probe, cells = load(ProbeConfig, "probe"), load(InformationConfig, "information").cells
        name = run_hash(config.model_dump(), probe.model_dump(), cells)
        return cls(config, probe, cells, folder / name)

    def replicates(self) -> dict[Path, Replicate]:
        """Return the data sets, by the file of their rows."""
        return {
            self.folder / f"{donors}x{units}-{repeat:02}.csv": Replicate(
                self.config, donors, units, repeat
            )
            for donors, units in self.config.sizes()
            for repeat in range(REPEATS)
        }

    def compute(self, designs: list[str]) -> None:
        """Compute the data sets of some designs, or of all if none is given, that lack a file."""
        if unknown := sorted(set(designs) - set(self.config.designs)):
            names = ", ".join(self.config.designs)
            raise ConfigError(f"no design {unknown[0]}; give some of {names}")
        self.folder.mkdir(parents=True, exist_ok=True)
        for path, replicate in self.replicates().items():
            design = f"{replicate.donors}x{replicate.n_obs}"
            if path.exists() or (designs and design not in designs):
                continue
            key = {"donors": replicate.donors, "units": replicate.n_obs, "repeat": replicate.repeat}
            rows = pd.DataFrame(key | row for row in gate_rows(replicate, self.probe, self.cells))
            with atomic_write(path) as new:
                rows.to_csv(new, index=False, float_format="%.6g")
            print(path, flush=True)


def main(folder: Path, designs: list[str]) -> None:
    """Compute, print the coverage so far, and write it when no data set is missing."""
    use_threads(1)
    study = Study.load(folder)
    study.compute(designs)
    files = [path for path in study.replicates() if path.exists()]
    summary = coverage(pd.concat(map(pd.read_csv, files), ignore_index=True))
    print(summary.to_string(index=False, float_format="%.3f"))
    if missing := [path for path in study.replicates() if not path.exists()]:
        print(f"{len(missing)} data sets to be computed, {missing[0].stem} first")
        return
    written = Path(__file__).with_suffix(".csv")
    summary.to_csv(written, index=False, float_format="%.4g")
    print(f"written: {written.name}")


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True, bare=False):
        main(Path(sys.argv[1]), sys.argv[2:])
