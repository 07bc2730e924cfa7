"""Embeddings of a trained method, and the files that scores are written to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cell_synergy.core.files import atomic_write
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import Evaluation
from cell_synergy.downstream.probes.feature_blocks import Block
from cell_synergy.training import weights
from cell_synergy.training.method import Method


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
    """

    method: Method
    folder: Path
    paired: PairedDataset

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
            Fold on which the weights were fitted, and by which the inputs are standardised.
        seed
            Seed of the fit.

        Raises
        ------
        DataError
            If the weights are missing or damaged.
        """
        fitted = weights.load(self.folder, fold.name, seed)
        return self.method.embed(fitted, *self.paired.standardised(fold))


def write_scores(evaluation: Evaluation, path: Path) -> None:
    """Write scores as CSV, with five significant digits, and posteriors as NPZ beside that file.

    Parameters
    ----------
    evaluation
        Scores and posteriors of one method.
    path
        Path of the CSV; that of the NPZ differs in its suffix, `.npz`, only.
    """
    with atomic_write(path.with_suffix(".npz")) as new, new.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **evaluation.posteriors)
    with atomic_write(path) as new:
        evaluation.scores.to_csv(new, index=False, float_format="%.5g")


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
