"""Time and memory of neighbours in distance bands, as the number of observations grows.

python benchmarks/spatial.py

10,000, 100,000 and 1,000,000 scattered observations in 100 sections, each size in a process of its
own, on one thread: the edges of four bands up to 64 neighbours, their graphs, and the majority
label (six classes) and composition of the neighbours of every observation. Required: less than 4
GiB, and time that grows at most 1.3 times as fast as the number of observations.
"""

import resource
import subprocess
import sys
from time import perf_counter, process_time

import numpy as np

from cell_synergy.core.device import use_threads
from cell_synergy.downstream.spatial.graph import band_edges, bands
from cell_synergy.downstream.spatial.targets import composition, majority

SIZES, SECTIONS, CLASSES = (10_000, 100_000, 1_000_000), 100, 6
COUNTS = (8, 16, 32, 64)
PITCH = 10.0  # mean distance between observations, micrometres
MOST_GIB, MOST_GROWTH = 4.0, 1.3


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


def main() -> None:
    """Print a line per size, and whether the requirements are met."""
    found = []
    for count in SIZES:
        done = subprocess.run(  # noqa: S603 - this file
            [sys.executable, __file__, str(count)], check=True, capture_output=True, text=True
        )
        cpu, clock, peak, before = map(float, done.stdout.split())
        found.append((count, cpu, peak))
        print(
            f"{count:9,} units: {cpu:6.2f} CPU s ({1e6 * cpu / count:5.1f} us a unit), "
            f"{clock:6.2f} s by the clock, {peak:5.2f} GiB ({before:.2f} before)",
            flush=True,
        )
    (fewer, less, _), (more, longer, most) = found[-2:]
    growth = longer / less / (more / fewer)
    print(
        f"time grows {growth:.2f} times as fast as units (at most {MOST_GROWTH} wanted)", end="; "
    )
    print(f"at most {most:.2f} GiB ({MOST_GIB:g} wanted)")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(int(sys.argv[1]))
    else:
        main()
