"""Which method on which data set: the words that aligning and judging have in common."""

from dataclasses import dataclass
from typing import Any

from cell_synergy import models
from cell_synergy.core.config import merge, named, section, validate
from cell_synergy.data.config import DatasetConfig
from cell_synergy.training.method import Method


@dataclass(frozen=True)
class Request:
    """A method and a data set, by name and as params.yaml and overrides describe them."""

    method_name: str
    method: Method
    dataset_name: str
    dataset: DatasetConfig


def take(words: dict[str, Any]) -> Request:
    """Take `models.name`, `data.dataset` and the overrides of their blocks out of nested words."""
    name, over_method = named(words.pop("models", {}), "name", "models")
    dataset_name, over_data = named(words.pop("data", {}), "dataset", "data")
    method = models.load(name, merge(section(f"models.{name}"), over_method))
    data = merge(section(f"data.{dataset_name}"), over_data)
    dataset = validate(DatasetConfig, data, f"data.{dataset_name}")
    return Request(name, method, dataset_name, dataset)
