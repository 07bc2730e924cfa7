"""Hash the code of every benchmark, as the stage `code` does for the stages of the study.

Writes one file per benchmark, or, for a benchmark that loads one module of a package by name, a
folder with one file per module. A line is the hash of a source file's tokens, and the file's name.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from cell_synergy.core.code import SourceTree, listed, require_own_copy
from cell_synergy.core.config import Config, arguments
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from stages.code import Program

# Benchmarks that load one module by name, and the package that it is in.
PER_MODULE = {"trifeature": "cell_synergy.models", "tune": "cell_synergy.models"}
NO_STAGES = ("code", "readme")


class Args(Config):
    """Inputs and outputs."""

    src: Path
    scripts: Path
    out: Path


def programs(tree: SourceTree) -> Iterator[Program]:
    """Yield a program for each benchmark, or for each module that a benchmark may load."""
    for benchmark in tree.members(tree.scripts.name):
        script = tree.files(f"{tree.scripts.name}.{benchmark}")
        if package := PER_MODULE.get(benchmark):
            for name, module in tree.members(package).items():
                yield Program(f"{benchmark}/{name}", script, {package: module})
        elif benchmark not in NO_STAGES:
            yield Program(benchmark, script, {})


def main(args: Args) -> None:
    """Read, hash, write."""
    require_own_copy(args.src)
    tree = SourceTree(args.src, args.scripts)
    with atomic_write(args.out) as folder:
        folder.mkdir()
        for program in programs(tree):
            file = folder / program.name
            file.parent.mkdir(exist_ok=True)
            file.write_text(listed(tree, program.code(tree)), "utf-8", newline="\n")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
