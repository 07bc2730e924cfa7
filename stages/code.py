"""Hash the code of every stage, so that DVC runs a stage again when code that it imports changes.

Writes one file per stage, or, for a stage that loads one module of a package by name, a folder with
one file per module. A line is the hash of a source file's tokens, and the file's name.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cell_synergy.core.code import SourceTree, listed, require_own_copy
from cell_synergy.core.config import Config, arguments
from cell_synergy.core.errors import ConfigError, report_errors
from cell_synergy.core.files import atomic_write

# Stages that load one module by name, and the package that it is in. A stage that loads modules by
# name and is not listed depends on all modules of the package.
PER_MODULE = {
    "embed": "cell_synergy.encoders",
    "finetune": "cell_synergy.encoders",
    "align": "cell_synergy.models",
    "evaluate": "cell_synergy.models",
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


class Program(NamedTuple):
    """The code that one file of hashes is about.

    Attributes
    ----------
    name
        Path of that file, relative to the output folder of the stage `code`.
    roots
        The source files that the stage starts with.
    chosen
        The package of which the stage loads one module by name, and that module.
    """

    name: str
    roots: list[Path]
    chosen: dict[str, str]

    def code(self, tree: SourceTree) -> frozenset[Path]:
        """Return the source files that the stage runs.

        Raises
        ------
        ConfigError
            If the stage is listed and does not load modules of its package by name.
        """
        files = tree.closure(self.roots, self.chosen)
        for package, module in self.chosen.items():
            if not files.issuperset(tree.files(module)):
                raise ConfigError(
                    f"stage {self.name.partition('/')[0]} loads no module of {package} by name; "
                    f"take it out of PER_MODULE in stages/{Path(__file__).name}"
                )
        return files


def programs(tree: SourceTree, notebooks: Path) -> Iterator[Program]:
    """Yield a program for each stage, or for each module or notebook that a stage may load."""
    for stage in tree.members(tree.scripts.name):
        script = tree.files(f"{tree.scripts.name}.{stage}")
        if stage == PER_NOTEBOOK:
            for notebook in sorted(notebooks.glob("[!.]*.py")):  # a dot: an editor's lock
                yield Program(f"{stage}/{notebook.stem}", [*script, notebook], {})
        elif package := PER_MODULE.get(stage):
            for name, module in tree.members(package).items():
                yield Program(f"{stage}/{name}", script, {package: module})
        elif stage != Path(__file__).stem:
            yield Program(stage, script, {})


def main(args: Args) -> None:
    """Read, hash, write; the text of a notebook is part of what its stage writes."""
    require_own_copy(args.src)
    tree = SourceTree(args.src, args.stages)
    whole = list(args.notebooks.glob("[!.]*.py"))
    with atomic_write(args.out) as folder:
        folder.mkdir()
        for program in programs(tree, args.notebooks):
            file = folder / program.name
            file.parent.mkdir(exist_ok=True)
            file.write_text(listed(tree, program.code(tree), whole), "utf-8", newline="\n")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
