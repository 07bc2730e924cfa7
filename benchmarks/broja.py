"""Time BROJA against dit's cone solver, on the gates of the tests and on larger random tables.

python -m benchmarks.broja gates=tests/golden/pid_gates.json repeats=3 out=benchmarks/broja.csv

One thread, both solvers alternately in this process, the best of some repeats (one for the largest
table). Needs the extra `peers`.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pandas as pd
from jaxtyping import Float64
from pydantic import PositiveInt

from cell_synergy.core.config import Config, arguments
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import ConfigError, report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.pid.discrete import Decomposition, broja, mutual_information

try:
    import ecos  # noqa: F401 - dit's cone solver
    from dit import Distribution
    from dit.algorithms.broja_cone import broja_cone_solve
except ImportError:
    broja_cone_solve = None

SHAPES = (4, 4, 4), (8, 8, 6), (12, 12, 6), (12, 12, 13)  # the last one is timed once
WANTED = 1.0

Table = Float64[np.ndarray, "x1 x2 y"]


class Args(Config):
    """Gates, largest number of repeats, and the output."""

    gates: Path
    repeats: PositiveInt
    out: Path


def theirs(joint: Table) -> Decomposition:
    """Return the decomposition from dit's unique parts and the exact informations."""
    found = broja_cone_solve(Distribution.from_ndarray(joint), [[0], [1]], [2])[1]
    unique1, unique2 = float(found["ui_source0"]), float(found["ui_source1"])
    redundant = mutual_information(joint.sum(1)) - unique1
    both = mutual_information(joint.reshape(-1, joint.shape[2]))
    return Decomposition(redundant, unique1, unique2, both - redundant - unique1 - unique2)


def now() -> np.ndarray:
    """Return processor time and wall time, in seconds."""
    return np.array([process_time(), perf_counter()])


def compare(name: str, tables: list[Table], repeats: int) -> dict[str, object]:
    """Print and return best CPU seconds of both solvers, and the largest difference in bits."""
    best = np.full((2, 2), np.inf)
    results: list[list[Decomposition]] = [[], []]
    solvers: list[Callable[[Table], Decomposition]] = [broja, theirs]
    for _ in range(repeats):
        for who, solve in enumerate(solvers):
            start = now()
            results[who] = [solve(table) for table in tables]
            best[who] = np.minimum(best[who], now() - start)
    ours, peers = (np.array([astuple(each) for each in one]) for one in results)
    ratio = best[0] / best[1]
    difference = np.abs(ours - peers).max()
    print(
        f"{name:24} ours {best[0, 0]:8.3f} CPU s, dit {best[1, 0]:8.3f}; ours / dit "
        f"{ratio[0]:.3f} of the CPU s, {ratio[1]:.3f} by the clock; apart {difference:.1e} bits"
    )
    return {
        "tables": name, "ours": best[0, 0], "dit": best[1, 0], "ratio": ratio[0],
        "ratio_clock": ratio[1], "difference": difference,
    }  # fmt: skip


def read_gates(path: Path) -> list[Table]:
    """Return the joint distribution of every gate."""
    gates = []
    for gate in json.loads(path.read_text("utf-8"))["gates"].values():
        joint = np.zeros(gate["shape"])
        for cell, probability in gate["cells"]:
            joint[tuple(cell)] = probability
        gates.append(joint)
    return gates


def main(args: Args) -> None:
    """Print and write all comparisons."""
    use_threads(1)
    if broja_cone_solve is None:
        raise ConfigError("dit or ecos is missing; pip install 'cell-synergy[peers]'")
    gates = read_gates(args.gates)
    theirs(gates[0])  # loads modules that dit imports late
    rows = [compare(f"{len(gates)} gates", gates, args.repeats)]
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        joint = rng.dirichlet(np.full(np.prod(shape), 0.3)).reshape(shape)
        repeats = 1 if shape == SHAPES[-1] else args.repeats
        rows.append(compare(f"random {shape}", [joint], repeats))
    slower = sum(float(str(row["ratio"])) > WANTED for row in rows)
    print(f"ours is slower than {WANTED:g} of dit in {slower} of {len(rows)}")
    with atomic_write(args.out) as new:
        pd.DataFrame(rows).to_csv(new, index=False, float_format="%.3g")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
