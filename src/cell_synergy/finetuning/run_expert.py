"""Fine-tune the expression expert on the tasks of a data set, and score it on test donors.

python -m cell_synergy.finetuning.run_expert --config-name finetune \
    expert.name=nicheformer_small data.dataset=lung finetune.how=lora finetune.tasks=cell_type

`finetune.how` is lora (adapters beside every linear layer), last (the last layers themselves) or
linear (the head alone). Beside `expert.name` and `data.dataset` stand overrides of the sections
`encoders.<name>`, `data.<dataset>`, `finetune` and `probe`. Reads the pairs and the frozen expert
that the stage `embed` reads. Writes to `out=FOLDER`, by default a folder of the
expert's name under runs/: scores.csv and scores.npz in the layout of the stage `probe`, and a
folder per task, fold and seed with what learnt, apart from the expert. Replaces nothing there but
what this command wrote. An interrupted run goes on where it stopped.
"""

import sys
from collections.abc import Sequence
from typing import Any

from cell_synergy.commands.command import command
from cell_synergy.core.config import named


def _stage(words: dict[str, Any]) -> tuple[str, str]:
    return "embed", named(words.get("expert", {}), "name", "expert")[0]


def _run(words: dict[str, Any]) -> None:
    from cell_synergy.finetuning.benchmark import run  # noqa: PLC0415 - torch, not for --help

    run(words)


def main(argv: Sequence[str]) -> None:
    """Run the public command."""
    command(argv, __doc__ or "", "finetune", _stage, _run, folder="finetune", resumes=True)


if __name__ == "__main__":
    main(sys.argv[1:])
