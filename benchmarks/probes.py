"""Time the linear probes against scikit-learn, on the same features, classes and penalties.

python -m benchmarks.probes observations=50700 features=2048 out=benchmarks/probes.csv

Standardised features, float32: variances of their principal
axes fall as 1, 1/2, 1/3 ..., seven donors are shifted against each other. Logistic regression of 12
classes, each penalty by itself: the study's middle and smallest penalty, and scikit-learn's
default. Ridge regression of 8 targets: each of seven donors is left out and scored, with five
penalties. One thread, all in this process. Our times include all preparation: the preconditioner of
each logistic fit, and the Gram matrices of the ridge regressions.

scikit-learn computes in the precision of the features, and takes half the time on float32 that it
takes on float64; ours always computes in float64. Ten minutes on one core, 3 GiB of memory.
"""

import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Float64, Int
from pydantic import PositiveInt
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as Peer

from cell_synergy.core.config import Config, arguments
from cell_synergy.core.device import device, use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.downstream.probes.design import Design, Linear

CLASSES, TARGETS, DONORS, LEADING = 12, 8, 7, 64
SHIFT = 0.5  # deviation between donors, relative to that within donors
TOLERANCE, ITERATIONS = 1e-4, 1000
PENALTIES = (0.03, 0.001)
PATH = (1.0, 0.3, 0.1, 0.03, 0.01)
BLOCK = 4096
WANTED = {"logistic": 0.55, "ridge": 0.25}
Result = TypeVar("Result")


class Args(Config):
    """Numbers of observations and features, and the output."""

    observations: PositiveInt
    features: PositiveInt
    out: Path


@dataclass(frozen=True)
class Data:
    """Features, and classes and targets that depend on the leading axes."""

    x: Float32[np.ndarray, "obs features"]
    y: Int[np.ndarray, " obs"]
    targets: Float64[np.ndarray, "obs targets"]
    donor: Int[np.ndarray, " obs"]


def data(units: int, features: int) -> Data:
    """Draw observations whose classes differ in frequency."""
    rng = np.random.default_rng(0)
    donor = np.sort(rng.integers(DONORS, size=units))
    white = rng.standard_normal((units, features), dtype=np.float32)
    white += SHIFT * rng.standard_normal((DONORS, features), dtype=np.float32)[donor]
    seen = white[:, :LEADING].astype(np.float64)
    slopes = rng.standard_normal((min(LEADING, features), CLASSES + TARGETS))
    rank = np.arange(1, 1 + len(slopes))
    logits = seen / np.sqrt(rank) @ slopes[:, :CLASSES] - np.linspace(0, 3, CLASSES)
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    noise = rng.standard_normal((units, TARGETS))
    targets = seen @ slopes[:, CLASSES:] / np.sqrt(len(slopes)) + noise
    white /= np.sqrt(np.arange(1, 1 + features, dtype=np.float32))
    x = white @ np.linalg.qr(rng.standard_normal((features, features), dtype=np.float32))[0]
    x -= x.mean(axis=0)
    x /= x.std(axis=0)
    return Data(x, y, targets, donor)


def timed(name: str, call: Callable[[], Result]) -> tuple[float, Result]:
    """Return the processor time in seconds, and the result."""
    cpu, clock = process_time(), perf_counter()
    found = call()
    cpu, clock = process_time() - cpu, perf_counter() - clock
    print(f"  {name:13}{cpu:7.1f} CPU s, {clock:7.1f} s by the clock", flush=True)
    return cpu, found


def objective(d: Data, fit: Linear, penalty: float) -> float:
    """Return the mean loss and penalty, in float64."""
    loss = 0.0
    for start in range(0, len(d.x), BLOCK):
        own = slice(start, start + BLOCK)
        shares = log_softmax(fit.scores(d.x[own].astype(np.float64)), axis=1)
        loss -= shares[np.arange(len(shares)), d.y[own]].sum()
    return float(loss / len(d.x) + penalty / 2 * (fit.coefficients**2).sum())


def logistic(d: Data, penalty: float) -> dict[str, object]:
    """Fit both with one penalty; print and return seconds and the difference of objectives."""
    print(f"logistic, penalty {penalty:.2g}")

    def own() -> Linear:
        return Design.of(d.x).logistic(d.y, CLASSES, [penalty], TOLERANCE, ITERATIONS)[0]

    def peer() -> LogisticRegression:
        model = LogisticRegression(C=1 / (penalty * len(d.x)), tol=1e-4, max_iter=10_000)
        return model.fit(d.x, d.y)

    ours, fit = timed("ours", own)
    theirs, model = timed("scikit-learn", peer)
    other = Linear(model.coef_.T.astype(np.float64), model.intercept_.astype(np.float64), 0.0, 0)
    values = [objective(d, linear, penalty) for linear in (fit, other)]
    print(
        f"  ratio {ours / theirs:.3f}, at most {WANTED['logistic']} wanted; objective "
        f"{values[0]:.8f} after {fit.iterations} steps, preconditioned gradient "
        f"{fit.gradient_norm:.0e}; scikit-learn's {values[0] - values[1]:+.1e} off after "
        f"{int(model.n_iter_[0])}"
    )
    return {
        "probe": f"logistic, penalty {penalty:.2g}", "ours": ours, "scikit_learn": theirs,
        "ratio": ours / theirs, "difference": values[0] - values[1],
    }  # fmt: skip


def r2(y: Float64[np.ndarray, "obs targets"], predicted: Float[np.ndarray, "obs targets"]) -> float:
    """Return R2, averaged over targets."""
    return float(np.mean(1 - ((y - predicted) ** 2).mean(axis=0) / y.var(axis=0)))


def own_ridges(d: Data) -> Iterator[float]:
    """Yield R2 of each donor and penalty."""
    design = Design.of(d.x, d.donor)
    for donor in range(DONORS):
        out = d.donor == donor
        for model in design.part(~out).ridge(d.targets[~out], PATH):
            yield r2(d.targets[out], model.scores(d.x[out].astype(np.float64)))


def peer_ridges(d: Data) -> Iterator[float]:
    """Yield R2 of each donor and penalty, of scikit-learn's ridge regression."""
    for donor in range(DONORS):
        out = d.donor == donor
        x, y, asked = d.x[~out], d.targets[~out].astype(np.float32), d.x[out]
        for penalty in PATH:
            yield r2(d.targets[out], Peer(alpha=penalty * len(x)).fit(x, y).predict(asked))


def ridges(d: Data) -> dict[str, object]:
    """Fit all ridges with both; print and return seconds and the difference of R2."""
    print(f"ridge, {DONORS} donors left out, {len(PATH)} penalties, {TARGETS} targets")
    ours, reached = timed("ours", lambda: np.array(list(own_ridges(d))))
    theirs, expected = timed("scikit-learn", lambda: np.array(list(peer_ridges(d))))
    print(
        f"  ratio {ours / theirs:.3f}, at most {WANTED['ridge']} wanted; R2 {reached.mean():.4f} "
        f"and {expected.mean():.4f}, largest difference {abs(reached - expected).max():.0e}"
    )
    return {
        "probe": "ridge", "ours": ours, "scikit_learn": theirs, "ratio": ours / theirs,
        "difference": abs(reached - expected).max(),
    }  # fmt: skip


def main(args: Args) -> None:
    """Print and write seconds, ratios, and differences of objectives and R2."""
    use_threads(1)
    d = data(args.observations, args.features)
    print(f"{args.observations} observations of {args.features} features on {device()}")
    rows = [logistic(d, penalty) for penalty in (*PENALTIES, 1 / args.observations)]
    rows.append(ridges(d))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{peak:.1f} GiB of memory at most")
    with atomic_write(args.out) as new:
        pd.DataFrame(rows).to_csv(new, index=False, float_format="%.3g")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
