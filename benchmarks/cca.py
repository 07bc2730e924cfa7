"""Time CCA against cca-zoo: all 512 of our components against the peer's first 16.

python benchmarks/cca.py

71,000 observations of 1536 and 512 features, float32, 20 of them correlated; one thread, both
alternately in this process, the best of three repeats. Needs the extra `peers`.
"""

import sys
from time import perf_counter, process_time

import numpy as np
from jaxtyping import Float32

from cell_synergy.core.device import use_threads
from cell_synergy.training.cca import covariances, solve

try:
    from cca_zoo.linear import CCA
except ImportError:
    sys.exit("error: cca-zoo is missing; pip install 'cell-synergy[peers]'")

UNITS, D1, D2, SHARED = 71_000, 1536, 512, 20
PEERS = 16
REPEATS = 3
WANTED = 0.5


def data() -> tuple[Float32[np.ndarray, "obs d1"], Float32[np.ndarray, "obs d2"]]:
    """Return noise whose first features are correlated between the modalities."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((UNITS, d), dtype=np.float32) for d in (D1, D2))
    y[:, :SHARED] += x[:, :SHARED] * np.linspace(1, 0.2, SHARED, dtype=np.float32)
    return x, y


def now() -> np.ndarray:
    """Return processor time and wall time, in seconds."""
    return np.array([process_time(), perf_counter()])


def main() -> None:
    """Print the times of both, their ratio and the largest difference of correlations."""
    use_threads(1)
    x, y = data()
    ours, theirs = [], []
    for _ in range(REPEATS):
        start = now()
        found = solve(covariances(x, y), ridge=0.0)
        middle = now()
        peer = CCA(n_components=PEERS).fit([x, y])
        ours.append(middle - start)
        theirs.append(now() - middle)
    best = [np.min(seconds, axis=0) for seconds in (ours, theirs)]
    for name, components, (cpu, clock) in zip(
        ("ours", "cca-zoo"), (len(found.correlations), PEERS), best, strict=True
    ):
        print(f"{name:8}{components:4} components: {cpu:6.2f} CPU s, {clock:6.2f} s by the clock")
    ratio = best[0] / best[1]
    print(f"ours / cca-zoo: {ratio[0]:.2f} of the CPU s, {ratio[1]:.2f} by the clock", end="; ")
    print(f"at most {WANTED} wanted")
    projected = [z @ weights for z, weights in zip((x, y), peer.weights_, strict=True)]
    reached = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(z.T for z in projected), strict=True)]
    print(f"largest difference {np.abs(found.correlations[:PEERS] - reached).max():.1e}")


if __name__ == "__main__":
    main()
