"""Files of the weights of a fitted method: one per fold and seed, in half precision.

Each file also has a text that describes the inputs that the method was fitted on, since weights of
other inputs could fit in shape and would embed garbage.
"""

from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from cell_synergy.core import arrays
from cell_synergy.core.errors import DataError
from cell_synergy.training.method import Weights

_REMEDY = "run `dvc repro align` or `dvc pull` first"
_INPUTS = "inputs"  # key of the file's metadata


def save(folder: Path, name: str, weights: Weights, inputs: str) -> None:
    """Write the weights of one fit to `<name>.safetensors`, floating-point arrays as float16.

    Parameters
    ----------
    folder
        An existing folder.
    name
        Fold and seed, such as `holdout-0`; the file's name without `.safetensors`.
    weights
        Arrays by name.
    inputs
        Text that describes the inputs: `PairedDataset.input_text`.

    Raises
    ------
    DataError
        If a number is not finite or exceeds the range of half precision.
    """
    with np.errstate(over="ignore"):  # overflow gives infinities, which are refused below
        half = {
            name: np.asarray(array, np.float16 if array.dtype.kind == "f" else None, order="C")
            for name, array in weights.items()
        }
    if not_finite := _not_finite(half):
        raise DataError(f"{folder}: weights {not_finite} are not finite in half precision")
    save_file(half, folder / f"{name}.safetensors", metadata={_INPUTS: inputs})


def load(folder: Path, fold: str, seed: int, inputs: str) -> Weights:
    """Read the weights of one fold and seed; floating-point arrays are returned as float32.

    Parameters
    ----------
    folder
        Folder of the weights of a method.
    fold
        Name of the fold.
    seed
        Seed of the fit.
    inputs
        Text that describes the inputs that are to be embedded, as `save` takes it.

    Raises
    ------
    DataError
        If the file is missing or damaged, contains numbers that are not finite, or is of a method
        that was fitted on other inputs. Looking up an array that the returned weights lack raises
        it, too.
    """
    path = folder / f"{fold}-{seed}.safetensors"
    weights = {
        name: array.astype(np.float32) if array.dtype.kind == "f" else array
        for name, array in arrays.read_safetensors(path, _REMEDY).items()
    }
    if not_finite := _not_finite(weights):
        raise DataError(f"{path}: {not_finite[0]} is not finite; {_REMEDY}")
    with safe_open(path, framework="numpy") as file:
        fitted_on = (file.metadata() or {}).get(_INPUTS, "inputs that the file does not name")
    if fitted_on != inputs:
        raise DataError(
            f"{path}: fitted on {fitted_on}, not on {inputs}; give the same align.axes and "
            "embeddings as in alignment, or align again"
        )
    return _FileWeights(path, weights)


def seeds(folder: Path, fold: str) -> list[int]:
    """Return the seeds for which a folder has weights of a fold, in ascending order.

    Parameters
    ----------
    folder
        Folder of the weights of a method.
    fold
        Name of the fold.

    Raises
    ------
    DataError
        If the folder has no weights of the fold.
    """
    stems = (path.stem.rpartition("-") for path in folder.glob("*.safetensors"))
    fold_seeds = sorted(int(seed) for name, _, seed in stems if name == fold)
    if not fold_seeds:
        raise DataError(f"{folder}: no weights for fold {fold!r}; run `dvc repro align` first")
    return fold_seeds


def _not_finite(weights: Weights) -> list[str]:
    """Return the names of arrays with an entry that is not finite."""
    return [name for name, array in weights.items() if not np.isfinite(array).all()]


class _FileWeights(Weights):
    """Weights of one file; the error for a missing array names the file."""

    def __init__(self, path: Path, weights: Weights) -> None:
        super().__init__(weights)
        self._path = path

    def __missing__(self, name: str) -> np.ndarray:
        raise DataError(
            f"{self._path}: has no {name!r}, so these are weights of another method; give the "
            "folder of this method, or align again"
        )
