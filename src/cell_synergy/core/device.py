"""Number of threads and device of a computation."""

import functools
import os
import sys
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    import torch


def use_threads(count: int) -> None:
    """Set the number of threads of every numerical library; sums differ between thread counts.

    Torch is not imported for this: it reads the number from the environment when it is imported.
    """
    for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ[f"{library}_NUM_THREADS"] = str(count)
    threadpool_limits(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


@functools.cache
def device() -> "torch.device":
    """Return the device of all computations with torch: the GPU if there is one, else the CPU."""
    import torch  # noqa: PLC0415 - two seconds, and most stages need none

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
