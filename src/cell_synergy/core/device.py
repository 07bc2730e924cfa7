"""Where computation runs: the number of threads, and the device."""

import functools
import os
import sys
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    import torch


def use_threads(count: int) -> None:
    """Let every numerical library use `count` threads, since sums differ between thread counts.

    Torch reads the number from the environment when it is imported, so a stage without torch does
    not have to import it here.
    """
    for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ[f"{library}_NUM_THREADS"] = str(count)
    threadpool_limits(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


@functools.cache
def device() -> "torch.device":
    """Return the GPU if there is one, else the CPU."""
    import torch  # noqa: PLC0415 - two seconds, and most stages need none

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
