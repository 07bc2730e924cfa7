"""Coverage of the intervals of R, U and S, on data sets that nothing was fitted on.

python benchmarks/coverage.py FOLDER [DESIGN ...]

Simulates twenty data sets of each design of the study `calibrate` (params.yaml), on another seed
than the study's: 5 gates x 4 parts x 20 = 400 intervals per design. Each data set's rows are
written to FOLDER, and a data set that is there already is not computed again, so that an
interrupted run continues, and several processes can share a folder with a DESIGN each, such as
`8x200`. Without DESIGN all are computed. When FOLDER has every data set of all designs, their
summary is written to benchmarks/coverage.csv. All take about 20 minutes on one core.
"""

import sys
from pathlib import Path

import pandas as pd

from cell_synergy.core.config import load
from cell_synergy.core.device import use_threads
from cell_synergy.core.files import atomic_write
from cell_synergy.downstream.information.decompose import InformationConfig
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.calibration import CalibrationConfig, Replicate, gate_rows
from cell_synergy.studies.coverage import coverage

REPEATS = 20
SEED = 20_000  # not that of the study, on which the allowance of the intervals was fitted


def replicates(config: CalibrationConfig, folder: Path) -> dict[Path, Replicate]:
    """Return the data sets of a configuration, by the file of their rows."""
    config = config.model_copy(update={"seed": SEED})
    return {
        folder / f"{donors}x{units}-{repeat:02}.csv": Replicate(config, donors, units, repeat)
        for donors, units in config.sizes()
        for repeat in range(REPEATS)
    }


def compute(folder: Path, designs: list[str]) -> pd.DataFrame:
    """Compute the data sets of some designs that a folder lacks; return the rows of all files."""
    folder.mkdir(parents=True, exist_ok=True)
    config = load(CalibrationConfig, "calibrate")
    if unknown := sorted(set(designs) - set(config.designs)):
        sys.exit(f"error: no design {unknown[0]}; give some of {', '.join(config.designs)}")
    probe, cells = load(ProbeConfig, "probe"), load(InformationConfig, "information").cells
    chosen = config.model_copy(update={"designs": tuple(designs) or config.designs})
    for path, replicate in replicates(chosen, folder).items():
        if path.exists():
            continue
        key = {"donors": replicate.donors, "units": replicate.n_obs, "repeat": replicate.repeat}
        rows = pd.DataFrame(key | row for row in gate_rows(replicate, probe, cells))
        with atomic_write(path) as new:
            rows.to_csv(new, index=False, float_format="%.6g")
        print(path, flush=True)
    files = [path for path in replicates(config, folder) if path.exists()]
    return pd.concat(map(pd.read_csv, files), ignore_index=True)


def main(folder: Path, designs: list[str]) -> None:
    """Compute, print the coverage so far, and write it when no data set is missing."""
    use_threads(1)
    summary = coverage(compute(folder, designs))
    print(summary.to_string(index=False, float_format="%.3f"))
    config = load(CalibrationConfig, "calibrate")
    if missing := [path for path in replicates(config, folder) if not path.exists()]:
        print(f"{len(missing)} data sets to be computed, {missing[0].stem} first")
        return
    written = Path(__file__).with_suffix(".csv")
    summary.to_csv(written, index=False, float_format="%.4g")
    print(f"written: {written.name}")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
