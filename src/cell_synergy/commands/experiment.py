"""A method on a data set, both as params.yaml and overrides describe them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cell_synergy import models
from cell_synergy.commands.args import ExperimentArgs
from cell_synergy.core.config import merge, read_section
from cell_synergy.core.overrides import pop_choice
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.study_design import DesignConfig
from cell_synergy.training.method import Method


@dataclass(frozen=True)
class Experiment:
    """A method, with its hyperparameters, and a data set.

    Attributes
    ----------
    method_name, method
        Name of the method, and the method with its hyperparameters.
    dataset_name
        Name of the data set. A stage reads those keys of `data.<dataset_name>` that it uses.
    dataset_overrides
        Values of `data.<dataset_name>` that replace those of params.yaml.
    """

    method_name: str
    method: Method
    dataset_name: str
    dataset_overrides: Mapping[str, Any]

    @classmethod
    def from_overrides(cls, method: object, dataset: object) -> "Experiment":
        """Return an experiment with the method's section of params.yaml, changed by overrides.

        Parameters
        ----------
        method
            Mapping with the method under `name`, and values that replace those of `models.<name>`.
        dataset
            Mapping with the data set under `dataset`, and values that replace those of
            `data.<dataset>`.

        Raises
        ------
        ConfigError
            If a name is missing, the method is unknown, or its hyperparameters are not valid.
        """
        method_name, method_overrides = pop_choice(method, "name", "models")
        dataset_name, dataset_overrides = pop_choice(dataset, "dataset", "data")
        hyperparameters = merge(read_section(f"models.{method_name}"), method_overrides)
        loaded = models.load(method_name, hyperparameters)
        return cls(method_name, loaded, dataset_name, dataset_overrides)


def read_paired(args: ExperimentArgs, dataset: DesignConfig) -> PairedDataset:
    """Read the observations of a data set, both embeddings, and labels if they are given.

    Parameters
    ----------
    args
        Paths of the observations, embeddings and labels.
    dataset
        Design of the data set: standardisation, donors and splits.

    Raises
    ------
    DataError
        If a file cannot be used, the files do not have the same observations, or the split is
        impossible with these donors.
    """
    return PairedDataset.read(args.pairs, args.image, args.expression, dataset, args.labels)
