"""Scores of one expert, fine-tuned on nested fractions of one data set's training pairs."""

import sys
from pathlib import Path

from cell_synergy import encoders
from cell_synergy.core.config import Config, arguments, load, load_keys, read_param, read_section
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.resume.part_store import resumable
from cell_synergy.data import paired as pairs
from cell_synergy.data.config import BenchmarkConfig
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.finetuning import tunable
from cell_synergy.finetuning.config import FinetuneConfig
from cell_synergy.finetuning.finetune import with_embedding
from cell_synergy.studies.scaling.finetuned_arm import scale
from cell_synergy.studies.scaling.subset_evaluator import Row, table
from cell_synergy.studies.scaling.subsets import ScalingConfig


class Args(Config):
    """Inputs and outputs.

    Attributes
    ----------
    frozen, embedding
        Folder of the frozen expert, and file of its embedding of the pairs.
    """

    dataset: str
    expert: str
    pairs: Path
    labels: Path
    frozen: Path
    embedding: Path
    out: Path


def main(args: Args) -> None:
    """Read, draw, fine-tune, score, write."""
    use_threads(read_param("threads"))
    dataset, probe = load_keys(BenchmarkConfig, f"data.{args.dataset}"), load(ProbeConfig, "probe")
    config, scaling = load(FinetuneConfig, "finetune"), load_keys(ScalingConfig, "scaling")
    block = read_section(f"encoders.{args.expert}")
    encoder = encoders.load(args.expert, block)
    tasks = scaling.chosen(dataset.tasks, args.dataset)
    configs = [each.model_dump(mode="json") for each in (dataset, config, probe, scaling)]
    inputs = [args.pairs, args.labels, args.frozen, args.embedding]
    with resumable("scaling", args.expert, block, *configs, files=inputs) as store:
        rows: list[Row] = []
        adata = pairs.read(args.pairs, args.labels)
        if tasks:
            expert = tunable.read(args.expert, encoder, adata, args.frozen, config.cells)
            embedding = tunable.read_embedding(args.embedding, expert, adata)
            paired = with_embedding(adata, embedding, dataset)
            rows = list(scale(expert, paired, tasks, config, probe, scaling, store))
        with atomic_write(args.out) as new:
            table(rows, adata, args.expert).to_csv(new, index=False, float_format="%.5g")


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True):
        main(arguments(Args, sys.argv[1:]))
