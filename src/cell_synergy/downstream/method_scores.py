"""Embeddings of a trained method, and the files that scores and posteriors are written to."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import save_file

from cell_synergy.core import arrays
from cell_synergy.core.files import atomic_write
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import Evaluation
from cell_synergy.downstream.probes.feature_blocks import Block
from cell_synergy.training import weights
from cell_synergy.training.method import Method

_TEXTS = "texts"  # key of the metadata that has posteriors' names of probes


@dataclass(frozen=True)
class TrainedMethod:
    """A method on a data set, with weights as the stage `align` writes them.

    Attributes
    ----------
    method
        The method.
    folder
        Folder of its weights.
    paired
        The data set.
    axes
        Maximal number of principal axes of each expert that fusion methods get; None for all
        features. It has to be that of the fit.
    """

    method: Method
    folder: Path
    paired: PairedDataset
    axes: int | None

    def seeds(self) -> list[int]:
        """Return the seeds that the first fold has weights for, in ascending order.

        Raises
        ------
        DataError
            If there are no weights.
        """
        return weights.seeds(self.folder, self.paired.folds[0].name)

    def embed(self, fold: Fold, seed: int) -> list[Block]:
        """Return the blocks of the joint embedding of all observations, for one fold and seed.

        Parameters
        ----------
        fold
            Fold on which the weights were fitted, and by which the inputs are standardised and
            rotated to their principal axes.
        seed
            Seed of the fit.

        Raises
        ------
        DataError
            If the weights are missing or damaged, or were fitted on other inputs.
        """
        axes = self.method.input_axes(self.axes)
        fitted = weights.load(self.folder, fold.name, seed, self.paired.input_text(axes))
        return self.method.embed(fitted, *self.paired.inputs(fold, axes))


def write_scores(evaluation: Evaluation, path: Path) -> None:
    """Write scores as CSV, with five significant digits, and posteriors beside that file.

    Posteriors are safetensors, since the bytes of a zip file (.npz) depend on the version of Python
    (headers) and of zlib. Names of probes are their metadata.

    Parameters
    ----------
    evaluation
        Scores and posteriors of one method.
    path
        Path of the CSV; that of the posteriors differs in its suffix, `.safetensors`, only.
    """
    texts = {name: str(x) for name, x in evaluation.posteriors.items() if x.dtype.kind == "U"}
    tensors = {
        name: np.ascontiguousarray(x)
        for name, x in evaluation.posteriors.items()
        if name not in texts
    }
    with atomic_write(path.with_suffix(".safetensors")) as new:
        # One entry: safetensors writes several in an order that changes from run to run.
        save_file(tensors, new, metadata={_TEXTS: json.dumps(texts)})
    with atomic_write(path) as new:
        evaluation.scores.to_csv(new, index=False, float_format="%.5g")


def read_posteriors(path: Path) -> dict[str, np.ndarray]:
    """Read `Evaluation.posteriors`, as `write_scores` writes them.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another format.
    """
    tensors = arrays.read_safetensors(path, "compute it again with `dvc repro`")
    with safe_open(path, framework="numpy") as file:
        texts = json.loads((file.metadata() or {}).get(_TEXTS, "{}"))
    return tensors | {name: np.array(text) for name, text in texts.items()}


def write_tables(out: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write tables as CSV files in one folder, with six significant digits.

    Parameters
    ----------
    out, tables
        Path of the main table, and tables by the text that is appended to the stem of that path,
        such as `-scores`; the main table has the key "".
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    for suffix, table in tables.items():
        with atomic_write(out.with_name(f"{out.stem}{suffix}{out.suffix}")) as new:
            table.to_csv(new, index=False, float_format="%.6g")
