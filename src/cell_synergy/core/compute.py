"""Where computation runs: threads are fixed, the device is found, unfinished work is kept aside."""

import functools
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    import torch


def use_threads(count: int) -> None:
    """Let every numerical library use `count` threads; sums differ between thread counts.

    Torch takes the number from the environment when it is imported, so that a stage without torch
    need not import it here.
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


def scratch() -> Path:
    """Return the folder for checkpoints: $CELL_SYNERGY_SCRATCH, or one of the user's own."""
    if chosen := os.environ.get("CELL_SYNERGY_SCRATCH"):
        return Path(chosen)
    return Path(tempfile.gettempdir()) / f"cell-synergy-{os.getuid()}"
