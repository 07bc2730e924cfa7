"""The scratch folder of unfinished work, and the hash under which that work may be resumed."""

import hashlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from cell_synergy.core.device import device
from cell_synergy.core.errors import DataError


def scratch_folder() -> Path:
    """Return the folder of unfinished computations.

    It is $CELL_SYNERGY_SCRATCH, or one of this user in the system's temporary folder.

    Raises
    ------
    DataError
        If the folder cannot be written, or the one in the temporary folder, where every user may
        create folders, belongs to another user.
    """
    if chosen := os.environ.get("CELL_SYNERGY_SCRATCH"):
        return _writable(Path(chosen), f"CELL_SYNERGY_SCRATCH={chosen}")
    folder = Path(tempfile.gettempdir()) / f"cell-synergy-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700)
    if not os.path.lexists(folder):
        return _writable(folder, str(folder))
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise DataError(
            f"{folder}: is not a folder of your own; set CELL_SYNERGY_SCRATCH to one that is"
        )
    return folder


def run_hash(*settings: object, files: Sequence[Path] = (), arrays: Iterable[bytes] = ()) -> str:
    """Return a hash (32 hexadecimal digits) of everything that a resumable computation depends on.

    Hashed are the source of every loaded module of this package, the version of torch, the device,
    the number of threads, the instruction set, and the arguments. Unfinished computations are
    stored under this hash and resumed only under an equal one.

    Parameters
    ----------
    settings
        Values that can be written as JSON.
    files
        Input files, and folders whose files are inputs; their names and contents are hashed.
    arrays
        Bytes of input arrays, in a fixed order.
    """
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] == "cell_synergy" and module.__file__:
            digest.update(Path(module.__file__).read_bytes())
    machine: list[object] = [os.environ.get("OMP_NUM_THREADS")]
    if torch := sys.modules.get("torch"):
        machine += [torch.__version__, str(device()), torch.get_num_threads()]
        machine += [torch.backends.cpu.get_cpu_capability()]
    digest.update(json.dumps([*machine, *settings], sort_keys=True).encode())
    for content in chain(_file_hashes(files), arrays):
        digest.update(content)
    return digest.hexdigest()[:32]


def _file_hashes(inputs: Sequence[Path]) -> Iterator[bytes]:
    """Yield name and SHA-256 of each file, those inside folders included."""
    for path in inputs:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in filter(Path.is_file, files):
            with file.open("rb") as content:
                yield file.name.encode() + hashlib.file_digest(content, "sha256").digest()


def _writable(folder: Path, name: str) -> Path:
    """Create a folder if it is missing and return it; refuse one that cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK) else "it is read-only"
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
    if reason:
        raise DataError(
            f"{name}: checkpoints cannot be kept there ({reason}); set CELL_SYNERGY_SCRATCH to a "
            "folder that can be written"
        )
    return folder
