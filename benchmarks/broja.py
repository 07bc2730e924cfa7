"""Time BROJA against dit's cone solver, on the gates of the tests and on larger random tables.

python benchmarks/broja.py

One thread, both solvers alternately in this process, the best of three repeats (one for the largest
table). The gates and their decompositions are in tests/golden/pid_gates.json. Needs the extra
`peers`.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from jaxtyping import Float64

from cell_synergy.core.device import use_threads
from cell_synergy.pid.discrete import Decomposition, broja, mutual_information

try:
    import ecos  # noqa: F401 - dit's cone solver
    from dit import Distribution
    from dit.algorithms.broja_cone import broja_cone_solve
except ImportError:
    sys.exit("error: dit or ecos is missing; pip install 'cell-synergy[peers]'")

GATES = Path(__file__).parents[1] / "tests" / "golden" / "pid_gates.json"
SHAPES = {(4, 4, 4): 3, (8, 8, 6): 3, (12, 12, 6): 3, (12, 12, 13): 1}
WANTED = 1.0

Table = Float64[np.ndarray, "x1 x2 y"]


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


def compare(name: str, tables: list[Table], repeats: int) -> bool:
    """Print the best times of both solvers for all tables, and the largest difference in bits."""
    best = np.full((2, 2), np.inf)
    found: list[list[Decomposition]] = [[], []]
    solvers: list[Callable[[Table], Decomposition]] = [broja, theirs]
    for _ in range(repeats):
        for who, solve in enumerate(solvers):
            start = now()
            found[who] = [solve(table) for table in tables]
            best[who] = np.minimum(best[who], now() - start)
    ours, peers = (np.array([astuple(each) for each in one]) for one in found)
    ratio = best[0] / best[1]
    print(
        f"{name:24} ours {best[0, 0]:8.3f} CPU s, dit {best[1, 0]:8.3f}; ours / dit "
        f"{ratio[0]:.3f} of the CPU s, {ratio[1]:.3f} by the clock; apart "
        f"{np.abs(ours - peers).max():.1e} bits"
    )
    return bool(ratio[0] <= WANTED)


def main() -> None:
    """Print all comparisons; fail if ours is slower in one."""
    use_threads(1)
    gates = []
    for gate in json.loads(GATES.read_text())["gates"].values():
        joint = np.zeros(gate["shape"])
        for cell, probability in gate["cells"]:
            joint[tuple(cell)] = probability
        gates.append(joint)
    theirs(gates[0])  # loads modules that dit imports late
    kept = [compare(f"{len(gates)} gates", gates, 3)]
    rng = np.random.default_rng(0)
    for shape, repeats in SHAPES.items():
        joint = rng.dirichlet(np.full(np.prod(shape), 0.3)).reshape(shape)
        kept.append(compare(f"random {shape}", [joint], repeats))
    if not all(kept):
        sys.exit(f"slower than {WANTED} of dit")


if __name__ == "__main__":
    main()
