"""What a stage depends on and reads, beside what its source says: DVC sees none of it.

See https://github.com/treeverse/dvc/issues/9195.
"""

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from dvc.dependency import ParamsDependency
from dvc.repo import Repo

from cell_synergy.core.code import SourceTree
from cell_synergy.core.imports import Source
from stages import code

MODULE_NAMES = {"cell_synergy.models": "models.name", "cell_synergy.encoders": "expert"}
READERS_OF_PARAMS = ("load", "load_keys", "read_section", "read_param", "read_params", "mapping_of")
CONFIG = {
    Path("src/cell_synergy/core", f"{name}.py")
    for name in ("config", "messages", "yaml", "overrides")
}


@dataclass(frozen=True)
class Stage:
    """A stage instance of dvc.yaml; its files are relative to the repository.

    `first` says whether a runner has to reproduce it before it asks what is out of date.
    """

    name: str
    words: list[str]
    files: list[Path]
    params: set[str]
    first: bool = False

    @property
    def arguments(self) -> dict[str, str]:
        """`name=value` words of the command."""
        return {w.partition("=")[0]: w.partition("=")[2] for w in self.words if "=" in w}


def stages(root: Path, pipeline: str = "dvc.yaml") -> list[Stage]:
    """Return every stage instance of a pipeline of the repository."""
    with Repo(str(root)) as repo:
        top = repo.root_dir
        return [
            Stage(
                stage.addressing.rpartition(":")[2],
                stage.cmd.split(),
                [
                    Path(d.fs_path).relative_to(top)
                    for d in stage.deps
                    if not isinstance(d, ParamsDependency)
                ],
                {p for d in stage.deps if isinstance(d, ParamsDependency) for p in d.params},
                bool((stage.meta or {}).get("first")),
            )
            for stage in repo.index.stages
            if stage.path_in_repo == pipeline
        ]


class Code:
    """The code of a repository as it is when first asked about; paths are relative to it."""

    hashes = Path("results/code")
    folders: tuple[str, ...] = ("src", "stages", "notebooks")
    per_module: Mapping[str, str] = code.PER_MODULE

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = self._tree()
        self.programs = {program.name: program for program in self._programs()}
        self.run_by = functools.cache(self._run_by)

    def _tree(self) -> SourceTree:
        return SourceTree(self.root / "src", self.root / "stages")

    def _programs(self) -> Iterator[code.Program]:
        return code.programs(self.tree, self.root / "notebooks")

    def of(self, stage: Stage) -> Path:
        """Return the file of hashes that belongs to a stage."""
        name = stage.name.partition("@")[0]
        given = stage.arguments
        if name in self.per_module:
            return self.hashes / name / given[MODULE_NAMES[self.per_module[name]]]
        if "notebook" in given:
            return self.hashes / name / Path(given["notebook"]).stem
        return self.hashes / name

    def wrong(self, stage: Stage) -> list[str]:
        """Return what a stage depends on instead of, or beside, its one file of hashes."""
        folders = {Path(name) for name in self.folders} | {self.hashes}
        found = [file for file in stage.files if folders.intersection((file, *file.parents))]
        wrong = {file for file in found if any((self.root / file).glob("**/*.py"))}
        wrong |= {
            file for file in found if file.suffix == ".py" or file.is_relative_to(self.hashes)
        }
        own = self.of(stage)
        return sorted(map(str, wrong ^ {own}))

    def _run_by(self, name: Path) -> frozenset[Path]:
        """Return the source files that a file of hashes is about."""
        return self.programs[str(name.relative_to(self.hashes))].code(self.tree)

    def undeclared(self, stage: Stage) -> list[str]:
        """Return the parameters that a stage's code reads and dvc.yaml does not declare."""
        wrong = set()
        for file in self.run_by(self.of(stage)) - {self.root / name for name in CONFIG}:
            for read in reads(self.tree.source(file)):
                if read is None:
                    wrong.add(f"{file.name}: a section whose name cannot be read from the code")
                elif not _declared(stage.params, read):
                    wrong.add(f"{file.name}: {read}")
        return sorted(wrong)


@functools.cache
def reads(source: Source) -> frozenset[str | None]:
    """Return each section of params.yaml that a file reads; see `_reads`."""
    return frozenset(_reads(source.tree))


def _reads(tree: ast.Module) -> Iterator[str | None]:
    """Yield each section that is read, with `*` for a name filled in; None if it is not literal."""
    yield from _disguised(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value == "params.yaml":
            yield None
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        home = getattr(getattr(node.func, "value", None), "id", "config")
        if name not in READERS_OF_PARAMS or home != "config" or _of_argument(name, node):
            continue
        index = 1 if name.startswith("load") else 0
        section = _literal(node.args[index] if len(node.args) > index else None)
        keys = _keys(tree, node.args[0]) if name.startswith("load") and section else []
        if name == "load_keys" and keys:
            yield from (f"{section}.{key}" for key in keys)
        elif name == "load_keys":
            yield None
        else:
            yield f"{section}:{' '.join(keys)}" if keys else section


def _of_argument(name: str, call: ast.Call) -> bool:
    """Return whether a call reads a YAML file that is an argument of the stage, so a dependency."""
    value = getattr(call.args[0], "value", None) if call.args else None
    return name == "mapping_of" and getattr(value, "id", "") == "args"


def _literal(argument: ast.expr | None) -> str | None:
    """Return the text of an argument, with `*` for a name filled in; None if it is no text."""
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    if isinstance(argument, ast.JoinedStr):
        parts = argument.values
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "*" for p in parts)
    return None


def _keys(tree: ast.Module, config: ast.expr) -> list[str]:
    """Return the keys of a configuration class that the file imports; none for anything else."""
    name = getattr(config, "id", "")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return [*getattr(import_module(str(node.module)), name).model_fields]
    return []


def _disguised(tree: ast.Module) -> Iterator[None]:
    """Yield once for each use of a reader of params that is not a plain call by its own name."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (None for alias in node.names if alias.name == "cell_synergy.core.config")
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level or (
            node.module == "cell_synergy.core" and "config" in {a.name for a in node.names}
        ):
            yield None
        if node.module == "cell_synergy.core.config":
            readers = [a for a in node.names if a.name in READERS_OF_PARAMS]
            yield from (None for alias in readers if alias.asname)
            names |= {alias.name for alias in readers}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names and id(node) not in called:
            yield None


def _declared(params: set[str], read: str) -> bool:
    """Whether dvc.yaml declares a section that is read, or each of its keys.

    `load` refuses any key that its configuration class lacks, so that the keys of the class, which
    follow a colon in `read`, are all that it reads.
    """
    section, _, keys = read.partition(":")
    each = [f"{section}.{key}" for key in keys.split()]
    whole = any(_covers(declared, section) for declared in params)
    return whole or (bool(each) and all(any(_covers(d, key) for d in params) for key in each))


def _covers(declared: str, read: str) -> bool:
    """Whether declaring `declared` tracks all that reading `read` shows."""
    pattern = re.escape(read).replace(r"\*", r"[^.]+")
    inside = pattern.startswith(f"{re.escape(declared)}\\.")
    return inside or re.fullmatch(pattern, declared) is not None
