"""Fine-tune the expression expert on the tasks of a data set, and score it on test donors.

python -m cell_synergy.finetuning.run_expert --config-name finetune \
    expert.name=nicheformer_small data.dataset=lung finetune.how=lora finetune.tasks=cell_type

`finetune.how` is lora (adapters of every linear layer), last (the last layers) or linear (the head
alone). Besides `expert.name` and `data.dataset` there may be overrides of the sections
`encoders.<name>`, `data.<dataset>`, `finetune` and `probe`. Reads the pairs and the frozen expert
that the stage `embed` reads, and the labels that the stage `pairs` writes. Writes to `out=FOLDER`,
by default a folder of the expert's name under runs/: scores.csv and scores.safetensors in the
layout of the stage `evaluate`, and a folder per task, fold and seed with the fine-tuned weights,
without those of the frozen expert. Only files that this command wrote are replaced there. The same
command resumes an interrupted run.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from cell_synergy.commands.command import StageArguments, command
from cell_synergy.core.config import (
    Config,
    load,
    load_keys,
    merge,
    read_param,
    read_section,
)
from cell_synergy.core.overrides import pop_choice
from cell_synergy.core.pipeline import paths


class Args(Config):
    """Inputs, output, and overrides of sections of params.yaml.

    Attributes
    ----------
    expert, data, finetune, probe
        Overrides of params.yaml; `expert.name` and `data.dataset` select expert and data set.
    pairs, labels, raw
        Paired observations, their labels, and the folder of their images.
    frozen
        Folder of the frozen expert.
    out
        Folder of the scores.
    """

    expert: Any = Field(default_factory=dict)
    data: Any = Field(default_factory=dict)
    finetune: Any = Field(default_factory=dict)
    probe: Any = Field(default_factory=dict)
    pairs: Path
    labels: Path
    raw: Path
    frozen: Path
    out: Path


def run(args: Args) -> None:
    """Fine-tune an expert on a data set, and write scores and trained parameters."""
    from cell_synergy import encoders
    from cell_synergy.core.device import use_threads
    from cell_synergy.data.config import BenchmarkConfig
    from cell_synergy.downstream.probes.config import ProbeConfig
    from cell_synergy.finetuning.config import FinetuneConfig
    from cell_synergy.finetuning.expert_scores import write_expert_scores

    name, expert_overrides = pop_choice(args.expert, "name", "expert")
    dataset_name, dataset_overrides = pop_choice(args.data, "dataset", "data")
    dataset = load_keys(BenchmarkConfig, f"data.{dataset_name}", dataset_overrides)
    config = load(FinetuneConfig, "finetune", args.finetune)
    probe = load(ProbeConfig, "probe", args.probe)
    use_threads(read_param("threads"))
    encoder = encoders.load(name, merge(read_section(f"encoders.{name}"), expert_overrides))
    write_expert_scores(
        name, encoder, dataset, config, probe, args.pairs, args.labels, args.frozen, args.out
    )


def _stage_of(overrides: Mapping[str, Any]) -> StageArguments:
    """Return the stage `embed` of the expert, and the labels, which that stage does not read."""
    name, _ = pop_choice(overrides.get("expert", {}), "name", "expert")
    dataset, _ = pop_choice(overrides.get("data", {}), "dataset", "data")
    labels = paths("pairs", {"dataset": dataset}, {})["labels"]
    return StageArguments("embed", name, {"labels": labels, **overrides})


def main(argv: Sequence[str]) -> None:
    """Run the public command."""
    command(argv, __doc__ or "", "finetune", Args, _stage_of, run, "finetune", resumes=True)


if __name__ == "__main__":
    main(sys.argv[1:])
