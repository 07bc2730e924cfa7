"""What a stage runs and reads, found in its source: DVC sees none of it (treeverse/dvc#9195)."""

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dvc.dependency import ParamsDependency
from dvc.repo import Repo

BY_NAME = {"models.name": "cell_synergy.models", "expert": "cell_synergy.encoders"}
ALL_OF = {"cell_synergy.raw.readers": Path("src/cell_synergy/raw/readers")}
READERS_OF_PARAMS = ("load", "section", "value", "mapping_of")
CONFIG = {Path("src/cell_synergy/core", f"{name}.py") for name in ("config", "documents", "words")}


@dataclass(frozen=True)
class Stage:
    """A stage instance of dvc.yaml; its files are relative to the repository."""

    name: str
    words: list[str]
    files: list[Path]
    params: set[str]

    @property
    def arguments(self) -> dict[str, str]:
        """`name=value` words of the command."""
        return {w.partition("=")[0]: w.partition("=")[2] for w in self.words if "=" in w}


def stages(root: Path) -> list[Stage]:
    """Return every stage instance of a repository."""
    with Repo(str(root)) as repo:
        top = repo.root_dir
        return [
            Stage(
                stage.addressing,
                stage.cmd.split(),
                [
                    Path(d.fs_path).relative_to(top)
                    for d in stage.deps
                    if not isinstance(d, ParamsDependency)
                ],
                {p for d in stage.deps if isinstance(d, ParamsDependency) for p in d.params},
            )
            for stage in repo.index.stages
        ]


@dataclass(frozen=True)
class Source:
    """What the text of one file says.

    Attributes
    ----------
    does
        Whether it is more than a docstring.
    imports
        Every module that it may import.
    reads
        Each section of params.yaml, with `*` for a name filled in; None if it is not literal.
    by_name
        Whether it imports modules by names that it makes.
    """

    does: bool
    imports: frozenset[str]
    reads: frozenset[str | None]
    by_name: bool


@functools.cache
def source(text: str) -> Source:
    """Parse the text of a file, once for all trees that hold it."""
    tree = ast.parse(text)
    return Source(
        any(not isinstance(node, ast.Expr) for node in tree.body),
        frozenset(_imports(tree)),
        frozenset(_reads(tree)),
        "import_module" in text,
    )


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


class Code:
    """The code of a repository as it is when first asked about; paths are relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = functools.cache(lambda file: source((root / file).read_text()))
        self.module_files = functools.cache(self._module_files)
        self.imported = functools.cache(self._imported)
        self.closure = functools.cache(self._closure)

    def _module_files(self, name: str) -> list[Path]:
        """Return the files that importing `name` runs, its parent packages included."""
        parts, files = name.split("."), []
        for depth in range(1, len(parts) + 1):
            for base in (Path(), Path("src")):
                path = base.joinpath(*parts[:depth])
                found = (path.with_suffix(".py"), path / "__init__.py")
                files += [file for file in found if (self.root / file).is_file()]
        return files

    def _imported(self, file: Path) -> set[Path]:
        """Return the repository's files that a file imports itself."""
        files: set[Path] = set()
        for name in self.source(file).imports:
            own = self.module_files(name)
            files.update(own)
            if name in ALL_OF and any(self.source(f).by_name for f in (file, *own)):
                folder = (self.root / ALL_OF[name]).glob("*.py")
                files.update(f.relative_to(self.root) for f in folder)
        return files

    def _closure(self, files: frozenset[Path]) -> frozenset[Path]:
        """Return `files` and everything in the repository that they import."""
        found, new = set(files), list(files)
        while new:
            more = self.imported(new.pop()) - found
            found |= more
            new += more
        return frozenset(found)

    def run_by(self, stage: Stage) -> frozenset[Path]:
        """Return what `python -m MODULE name=value ...` runs, files loaded by name included."""
        roots = [stage.words[2]]
        roots += [f"{BY_NAME[k]}.{v}" for k, v in stage.arguments.items() if k in BY_NAME]
        files = {file for name in roots for file in self.module_files(name)}
        if "notebook" in stage.arguments:
            files.add(Path(stage.arguments["notebook"]))
        return self.closure(frozenset(files))

    def uncovered(self, stage: Stage) -> list[str]:
        """Return the files that a stage runs and does not depend on, docstrings alone aside."""
        ran = [file for file in self.run_by(stage) if self.source(file).does]
        bare = [f for f in ran if not any(f.is_relative_to(dep) for dep in stage.files)]
        return sorted(map(str, bare))

    def unused(self, instances: list[Stage]) -> list[str]:
        """Return the code files and folders that a stage depends on and no instance runs."""
        ran = {file for stage in instances for file in self.run_by(stage)}
        deps = {dep for stage in instances for dep in stage.files if self._is_code(dep)}
        idle = {dep for dep in deps if not any(f.is_relative_to(dep) for f in ran)}
        return sorted(map(str, idle))

    def _is_code(self, dep: Path) -> bool:
        inside = dep.is_relative_to("src") and any((self.root / dep).glob("*.py"))
        return dep.suffix == ".py" or inside

    def undeclared(self, stage: Stage) -> list[str]:
        """Return the parameters that a stage's code reads and dvc.yaml does not declare."""
        wrong = set()
        for file in self.run_by(stage) - CONFIG:
            for read in self.source(file).reads:
                if read is None:
                    wrong.add(f"{file.name}: a section whose name cannot be read from the code")
                elif not any(_covers(declared, read) for declared in stage.params):
                    wrong.add(f"{file.name}: {read}")
        return sorted(wrong)


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
        if name not in READERS_OF_PARAMS or home != "config":
            continue
        place = 1 if name == "load" else 0
        argument = node.args[place] if len(node.args) > place else None
        if isinstance(argument, ast.Constant):
            yield str(argument.value)
        elif isinstance(argument, ast.JoinedStr):
            parts = argument.values
            yield "".join(str(p.value) if isinstance(p, ast.Constant) else "*" for p in parts)
        else:
            yield None


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


def _covers(declared: str, read: str) -> bool:
    """Whether declaring `declared` tracks all that reading `read` shows."""
    pattern = re.escape(read).replace(r"\*", r"[^.]+")
    inside = pattern.startswith(f"{re.escape(declared)}\\.")
    return inside or re.fullmatch(pattern, declared) is not None
