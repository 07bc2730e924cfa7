"""A method on a data set, both as params.yaml and overrides describe them."""

from dataclasses import dataclass

from cell_synergy import models
from cell_synergy.commands.args import ExperimentArgs
from cell_synergy.core.config import load, merge, read_section
from cell_synergy.core.overrides import pop_choice
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.training.method import Method


@dataclass(frozen=True)
class Experiment:
    """A method and a data set, by name and with their configurations."""

    method_name: str
    method: Method
    dataset_name: str
    dataset: DatasetConfig

    @classmethod
    def from_overrides(cls, method: object, dataset: object) -> "Experiment":
        """Read both sections of params.yaml and apply the overrides.

        Parameters
        ----------
        method
            Overrides of a method: its `name`, and values of `models.<name>`.
        dataset
            Overrides of a data set: its name under `dataset`, and values of `data.<dataset>`.
        """
        method_name, method_overrides = pop_choice(method, "name", "models")
        dataset_name, dataset_overrides = pop_choice(dataset, "dataset", "data")
        hyperparameters = merge(read_section(f"models.{method_name}"), method_overrides)
        return cls(
            method_name,
            models.load(method_name, hyperparameters),
            dataset_name,
            load(DatasetConfig, f"data.{dataset_name}", dataset_overrides),
        )

    def read_paired(self, args: ExperimentArgs) -> PairedDataset:
        """Read the observations of the data set, both embeddings, and labels if they are given."""
        return PairedDataset.read(
            args.pairs, args.image, args.expression, self.dataset, args.labels
        )
