"""Weights of one method: a file per fold and seed, in half precision."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from cell_synergy.core import arrays
from cell_synergy.core.errors import DataError
from cell_synergy.training.method import Weights

_REMEDY = "run `dvc repro align` or `dvc pull` first"


def save(folder: Path, name: str, weights: Weights) -> None:
    """Write the weights of one job (`<fold>-<seed>`); floating point becomes float16."""
    with np.errstate(over="ignore"):  # what overflows is found and named below
        half = {
            name: np.asarray(array, np.float16 if array.dtype.kind == "f" else None, order="C")
            for name, array in weights.items()
        }
    if wrong := [name for name, array in half.items() if not np.isfinite(array).all()]:
        raise DataError(f"{folder}: weights {wrong} are not finite in half precision")
    save_file(half, folder / f"{name}.safetensors")


def load(folder: Path, fold: str, seed: int) -> Weights:
    """Read the weights of one fold and seed."""
    path = folder / f"{fold}-{seed}.safetensors"
    found = {
        name: array.astype(np.float32) if array.dtype.kind == "f" else array
        for name, array in arrays.safetensors(path, _REMEDY).items()
    }
    if wrong := [name for name, array in found.items() if not np.isfinite(array).all()]:
        raise DataError(f"{path}: {wrong[0]} is not finite; {_REMEDY}")
    return _Named(path, found)


class _Named(Weights):
    """Weights of a file; one that is not there is named with the file."""

    def __init__(self, path: Path, found: Weights) -> None:
        super().__init__(found)
        self._path = path

    def __missing__(self, name: str) -> np.ndarray:
        raise DataError(
            f"{self._path}: has no {name!r}, so these are weights of another method; give the "
            "folder of this one, or align again"
        )


def seeds(folder: Path, fold: str) -> list[int]:
    """Return the seeds that a fold has weights for."""
    stems = (path.stem.rpartition("-") for path in folder.glob("*.safetensors"))
    found = sorted(int(seed) for name, _, seed in stems if name == fold)
    if not found:
        raise DataError(f"{folder}: no weights for fold {fold!r}; run `dvc repro align` first")
    return found
