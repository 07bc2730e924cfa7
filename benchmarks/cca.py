"""Time CCA against cca-zoo: all 512 of our components against the peer's first 16.

python -m benchmarks.cca observations=71000 repeats=3 out=benchmarks/cca.csv

Observations of 1536 and 512 features, float32, 20 of them correlated; one thread, both alternately
in this process, the best of some repeats. Needs the extra `peers`.
"""

import sys
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pandas as pd
from jaxtyping import Float32
from pydantic import PositiveInt

from cell_synergy.core.config import Config, arguments
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import ConfigError, report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.training.cca import covariances, solve

try:
    from cca_zoo.linear import CCA
except ImportError:
    CCA = None

D1, D2, SHARED = 1536, 512, 20
PEERS = 16
WANTED = 0.5


class Args(Config):
    """Numbers of observations and of repeats, and the output."""

    observations: PositiveInt
    repeats: PositiveInt
    out: Path


def data(count: int) -> tuple[Float32[np.ndarray, "obs d1"], Float32[np.ndarray, "obs d2"]]:
    """Return noise whose first features are correlated between the modalities."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((count, d), dtype=np.float32) for d in (D1, D2))
    y[:, :SHARED] += x[:, :SHARED] * np.linspace(1, 0.2, SHARED, dtype=np.float32)
    return x, y


def now() -> np.ndarray:
    """Return processor time and wall time, in seconds."""
    return np.array([process_time(), perf_counter()])


def main(args: Args) -> None:
    """Print and write the times of both, their ratio and the largest difference of correlations."""
    use_threads(1)
    if CCA is None:
        raise ConfigError("cca-zoo is missing; pip install 'cell-synergy[peers]'")
    x, y = data(args.observations)
    ours, theirs = [], []
    for _ in range(args.repeats):
        start = now()
        solution = solve(covariances(x, y), ridge=0.0)
        middle = now()
        peer = CCA(n_components=PEERS).fit([x, y])
        ours.append(middle - start)
        theirs.append(now() - middle)
    best = [np.min(seconds, axis=0) for seconds in (ours, theirs)]
    components = len(solution.correlations), PEERS
    for name, count, (cpu, clock) in zip(("ours", "cca-zoo"), components, best, strict=True):
        print(f"{name:8}{count:4} components: {cpu:6.2f} CPU s, {clock:6.2f} s by the clock")
    ratio = best[0] / best[1]
    print(f"ours / cca-zoo: {ratio[0]:.2f} of the CPU s, {ratio[1]:.2f} by the clock", end="; ")
    print(f"at most {WANTED} wanted")
    projected = [z @ weights for z, weights in zip((x, y), peer.weights_, strict=True)]
    reached = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(z.T for z in projected), strict=True)]
    difference = np.abs(solution.correlations[:PEERS] - reached).max()
    print(f"largest difference {difference:.1e}")
    row = {"ours": best[0][0], "cca_zoo": best[1][0], "ratio": ratio[0], "ratio_clock": ratio[1]}
    with atomic_write(args.out) as new:
        table = pd.DataFrame([row | {"difference": difference}])
        table.to_csv(new, index=False, float_format="%.3g")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
