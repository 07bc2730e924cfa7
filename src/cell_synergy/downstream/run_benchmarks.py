"""Judge a representation with probes: the study's, or your own.

python -m cell_synergy.downstream.run_benchmarks units=my.h5ad image=X_uni \
    expression=X_nicheformer label=region donor=patient joint=X_fused out=sis.csv

reads two embeddings from `obsm`, labels and donors from `obs`, leaves each donor out in turn, and
writes the SIS of their concatenation and of every embedding named by `joint` (optional, several
separated by commas), with intervals from five donors on; the scores stand beside, as
sis-scores.csv, and redundant, unique and synergistic bits, as sis-information.csv.
`standardise=donor` scales features with each donor's own units.

python -m cell_synergy.downstream.run_benchmarks --config-name downstream \
    evaluation.modality=multimodal data.dataset=lung

judges a method of the study on every task of a data set.

`evaluation.modality` is multimodal, unimodal_img or unimodal_gex; `evaluation.align_method` names
the method (by default the focal `method` of params.yaml), `evaluation.weights` a folder of its
weights (by default those of the stage `align`). Overrides of the sections `models.<name>`,
`data.<dataset>` and `probe` may follow.

Both write to `out=FILE.csv`, by default a file under runs/, or to a file of the usual name in
`out=FOLDER`, and replace nothing there but what the same command wrote.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from cell_synergy.commands.command import command, command_on_table
from cell_synergy.core.config import Config, validate, value
from cell_synergy.core.errors import answered_help, reported

BESIDE = ("-scores", "-information")  # what stands beside the SIS of a table of one's own
UNIMODAL = {"unimodal_img": "image", "unimodal_gex": "expression"}


class Evaluation(Config):
    """Which representation is judged."""

    modality: Literal["multimodal", "unimodal_img", "unimodal_gex"]
    align_method: str | None = None
    weights: Path | None = None


def _choose(words: dict[str, Any]) -> tuple[str, str]:
    """Turn the words of `evaluation` into those of the stage; return stage and method."""
    chosen = validate(Evaluation, words.pop("evaluation", {}), "evaluation")
    name = UNIMODAL.get(chosen.modality) or chosen.align_method or str(value("method"))
    words["models"] = {**words.get("models", {}), "name": name}
    if chosen.weights is not None:
        words["weights"] = str(chosen.weights)
    return "probe", name


def _run(words: dict[str, Any]) -> None:
    from cell_synergy.downstream.benchmark import run  # noqa: PLC0415 - torch, not for --help

    run(words)


def main(argv: Sequence[str]) -> None:
    """Run the public command."""
    keys = [word.partition("=")[0] for word in argv]
    dotted = any("." in key and key != word for key, word in zip(keys, argv, strict=True))
    if (dotted or {"--config-name", "-cn"} & set(keys)) and "units" not in keys:
        command(argv, __doc__ or "", "downstream", _choose, _run)
    elif not answered_help(argv, __doc__ or "", bare=False):
        with reported():
            from cell_synergy.downstream import user_table  # noqa: PLC0415 - torch, not for --help
        command_on_table(argv, user_table.Own, user_table.run, "downstream units=", BESIDE)


if __name__ == "__main__":
    main(sys.argv[1:])
