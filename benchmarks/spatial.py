"""Time and memory of neighbours in distance bands, as the number of observations grows.

python -m benchmarks.spatial sizes=10000,100000,1000000 out=benchmarks/spatial.csv

Scattered observations in 100 sections, each size in a process of its own, on one thread: the edges
of four bands up to 64 neighbours, their graphs, and the majority label (six classes) and
composition of the neighbours of every observation. Required: less than 4 GiB, and time that grows
at most 1.3 times as fast as the number of observations.
"""

import resource
import subprocess
import sys
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pandas as pd
from pydantic import PositiveInt

from cell_synergy.core.config import Config, arguments
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.downstream.spatial.graph import band_edges, bands
from cell_synergy.downstream.spatial.targets import composition, majority

SECTIONS, CLASSES = 100, 6
COUNTS = (8, 16, 32, 64)
PITCH = 10.0  # mean distance between observations, micrometres
MOST_GIB, MOST_GROWTH = 4.0, 1.3
MEASURE = "measure"  # first word of the command in the process that is measured


class Args(Config):
    """Numbers of observations, rising, two at least, and the output."""

    sizes: list[PositiveInt]
    out: Path


def measure(count: int) -> None:
    """Print processor time, wall time and peak memory."""
    use_threads(1)
    random = np.random.default_rng(0)
    spatial = random.uniform(0, PITCH * np.sqrt(count / SECTIONS), (count, 2))
    section = random.permutation(np.arange(count) % SECTIONS)
    codes = random.integers(CLASSES, size=count)
    shares = random.dirichlet(np.ones(CLASSES), count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = np.array([process_time(), perf_counter()])
    for band in bands(spatial, section, band_edges(spatial, section, COUNTS)):
        majority(codes, CLASSES, band)
        composition(shares, band)
    cpu, clock = np.array([process_time(), perf_counter()]) - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(cpu, clock, peak / 2**20, before / 2**20)


def main(args: Args) -> None:
    """Print and write a line per size; print whether the requirements are met."""
    rows = []
    for count in args.sizes:
        words = ["python", "-m", "benchmarks.spatial", MEASURE, str(count)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 - ours
        cpu, clock, peak, before = map(float, done.stdout.split())
        rows.append({"observations": count, "cpu_s": cpu, "clock_s": clock, "gib": peak})
        print(
            f"{count:9,} observations: {cpu:6.2f} CPU s ({1e6 * cpu / count:5.1f} us each), "
            f"{clock:6.2f} s by the clock, {peak:5.2f} GiB ({before:.2f} before)",
            flush=True,
        )
    table = pd.DataFrame(rows)
    ratios = table.iloc[-1] / table.iloc[-2]
    growth, most = ratios["cpu_s"] / ratios["observations"], table["gib"].iloc[-1]
    print(f"time grows {growth:.2f} times as fast as observations (at most {MOST_GROWTH} wanted)")
    print(f"at most {most:.2f} GiB ({MOST_GIB:g} wanted)")
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.3g")


if __name__ == "__main__":
    if sys.argv[1:2] == [MEASURE]:
        measure(int(sys.argv[2]))
    else:
        with report_errors(__doc__, bare=False):
            main(arguments(Args, sys.argv[1:]))
