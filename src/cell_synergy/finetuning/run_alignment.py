"""Align two embeddings of the same units with one method.

python -m cell_synergy.finetuning.run_alignment --config-name align \
    models.name=comm data.dataset=lung training.max_epochs=50

Reads what the stage `align@lung-comm` reads. Beside `models.name` and `data.dataset` stand
overrides of the sections `models.<name>`, `data.<dataset>`, `training` and `align`. Writes weights
to `out=FOLDER` and training curves to `curves=FOLDER`, by default folders of that stage's name
under runs/, never to results/. Replaces nothing there but what this command wrote. An interrupted
run goes on where it stopped.
"""

import sys
from collections.abc import Sequence
from typing import Any

from cell_synergy.commands.command import command
from cell_synergy.core.config import named


def _stage(words: dict[str, Any]) -> tuple[str, str]:
    return "align", named(words.get("models", {}), "name", "models")[0]


def _run(words: dict[str, Any]) -> None:
    from cell_synergy.finetuning.align import run  # noqa: PLC0415 - torch, not for --help

    run(words)


def main(argv: Sequence[str]) -> None:
    """Run the public command."""
    command(argv, __doc__ or "", "align", _stage, _run, resumes=True)


if __name__ == "__main__":
    main(sys.argv[1:])
