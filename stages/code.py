"""Hash the code of every stage, so that DVC runs a stage again when code that it imports changes.

Writes one file per stage, or, for a stage that loads one module of a package by name, a folder with
one file per module. A line is the hash of a source file's tokens, and the file's name.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from cell_synergy.core.atomic import atomic
from cell_synergy.core.code import SourceTree, listed
from cell_synergy.core.config import Config, arguments
from cell_synergy.core.errors import ConfigError, reported

# Stages that load one module by name, and the package that it is in. A stage that loads modules by
# name and is not listed depends on all modules of the package.
PER_MODULE = {
    "pretrain": "cell_synergy.encoders",
    "embed": "cell_synergy.encoders",
    "finetune": "cell_synergy.encoders",
    "align": "cell_synergy.models",
    "probe": "cell_synergy.models",
    "spatial": "cell_synergy.models",
    "scaling": "cell_synergy.models",
    "trifeature": "cell_synergy.models",
}
PER_NOTEBOOK = "figures"


class Args(Config):
    """Inputs and outputs."""

    src: Path
    stages: Path
    notebooks: Path
    out: Path


def closures(tree: SourceTree, notebooks: Path) -> Iterator[tuple[str, frozenset[Path]]]:
    """Yield the name of each file that is written, and the code that it stands for.

    Raises
    ------
    ConfigError
        If a stage is listed and does not load modules of its package by name.
    """
    for stage in tree.members(tree.scripts.name):
        script = tree.files(f"{tree.scripts.name}.{stage}")
        if stage == PER_NOTEBOOK:
            for notebook in sorted(notebooks.glob("*.py")):
                yield f"{stage}/{notebook.stem}", tree.closure([*script, notebook], {})
        elif package := PER_MODULE.get(stage):
            for name, module in tree.members(package).items():
                code = tree.closure(script, {package: module})
                if not code.issuperset(tree.files(module)):
                    raise ConfigError(
                        f"stage {stage} loads no module of {package} by name; take it out of "
                        f"PER_MODULE in {__file__}"
                    )
                yield f"{stage}/{name}", code
        elif stage != Path(__file__).stem:
            yield stage, tree.closure(script, {})


def main(args: Args) -> None:
    """Read, hash, write; the text of a notebook is part of what its stage writes."""
    tree = SourceTree(args.src, args.stages)
    whole = list(args.notebooks.glob("*.py"))
    with atomic(args.out) as folder:
        folder.mkdir()
        for name, code in closures(tree, args.notebooks):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(listed(tree, code, whole), "utf-8", newline="\n")


if __name__ == "__main__":
    with reported(__doc__):
        main(arguments(Args, sys.argv[1:]))
