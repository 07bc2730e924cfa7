"""Where computation runs: threads are fixed, the device is found, unfinished work is kept aside."""

import functools
import hashlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from cell_synergy.core.errors import DataError

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


def fingerprint(*what: object, data: Iterable[bytes] = ()) -> str:
    """Return a name for unfinished work, which is never continued under another.

    It changes with the code that is loaded, torch, the device, threads and instruction set, with
    `what` can be written as JSON, and with `data`.
    """
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] == "cell_synergy" and module.__file__:
            digest.update(Path(module.__file__).read_bytes())
    place: list[object] = [os.environ.get("OMP_NUM_THREADS")]
    if torch := sys.modules.get("torch"):
        place += [torch.__version__, str(device()), torch.get_num_threads()]
        place += [torch.backends.cpu.get_cpu_capability()]
    digest.update(json.dumps([*place, *what], sort_keys=True).encode())
    for part in data:
        digest.update(part)
    return digest.hexdigest()[:32]


def scratch() -> Path:
    """Return the folder for checkpoints: $CELL_SYNERGY_SCRATCH, or one of the user's own.

    Raises
    ------
    DataError
        If the folder cannot be written, or that of one's own is somebody else's: everybody may
        make folders beside it.
    """
    if chosen := os.environ.get("CELL_SYNERGY_SCRATCH"):
        return _usable(Path(chosen), f"CELL_SYNERGY_SCRATCH={chosen}")
    place = Path(tempfile.gettempdir()) / f"cell-synergy-{os.getuid()}"
    with suppress(OSError):
        place.mkdir(mode=0o700)
    if not os.path.lexists(place):
        return _usable(place, str(place))
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise DataError(
            f"{place}: is not a folder of your own; set CELL_SYNERGY_SCRATCH to one that is"
        )
    return place


def _usable(place: Path, named: str) -> Path:
    """Return a folder that is made if need be, and can be written."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(place, os.W_OK) else "it is read-only"
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
    if reason:
        raise DataError(
            f"{named}: checkpoints cannot be kept there ({reason}); set CELL_SYNERGY_SCRATCH to a "
            "folder that can be written"
        )
    return place
