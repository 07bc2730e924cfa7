"""The study's data sets, as benchmarks read them."""

from pathlib import Path

from cell_synergy.core.config import Config, load_keys, read_section
from cell_synergy.data.config import BenchmarkConfig
from cell_synergy.data.dataset import PairedDataset


class DataArgs(Config):
    """A data set, and folders that the study writes.

    Attributes
    ----------
    dataset
        Name of the data set.
    pairs, labels, embeddings
        Folders of the files `<dataset>.h5ad` of pairs and of labels, and of the folders
        `<dataset>/` with the embedding of each expert.
    out
        Table to write.
    """

    dataset: str
    pairs: Path
    labels: Path
    embeddings: Path
    out: Path


def read(args: DataArgs) -> tuple[PairedDataset, BenchmarkConfig]:
    """Return the paired data set with its labels, and its tasks."""
    experts, name = read_section("experts"), args.dataset
    dataset = load_keys(BenchmarkConfig, f"data.{name}")
    image, expression = (
        args.embeddings / name / f"{experts[kind]}.h5ad" for kind in ("image", "expression")
    )
    pairs, labels = (folder / f"{name}.h5ad" for folder in (args.pairs, args.labels))
    return PairedDataset.read(pairs, image, expression, dataset, labels), dataset
