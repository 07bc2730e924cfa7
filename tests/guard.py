"""What a stage runs and reads, found in its source: DVC sees none of it (treeverse/dvc#9195)."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dvc.dependency import ParamsDependency
from dvc.repo import Repo

BY_NAME = {"models.name": "cell_synergy.models", "expert": "cell_synergy.encoders"}
ALL_OF = {"cell_synergy.data.readers": "src/cell_synergy/data/readers"}
READERS_OF_PARAMS = ("load", "section", "value")


@dataclass(frozen=True)
class Stage:
    """A stage instance of dvc.yaml."""

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
        return [
            Stage(
                stage.addressing,
                stage.cmd.split(),
                [Path(d.fs_path) for d in stage.deps if not isinstance(d, ParamsDependency)],
                {p for d in stage.deps if isinstance(d, ParamsDependency) for p in d.params},
            )
            for stage in repo.index.stages
        ]


def module_files(root: Path, name: str) -> list[Path]:
    """Return the repository's files that importing `name` runs, its parent packages included."""
    parts, files = name.split("."), []
    for depth in range(1, len(parts) + 1):
        for base in (root, root / "src"):
            path = base.joinpath(*parts[:depth])
            files += [f for f in (path.with_suffix(".py"), path / "__init__.py") if f.is_file()]
    return files


def closure(root: Path, files: list[Path], trees: dict[Path, ast.Module]) -> dict[Path, ast.Module]:
    """Return the parsed source of `files` and of everything in the repository that they import."""
    for file in files:
        if file in trees:
            continue
        trees[file] = ast.parse(file.read_text())
        for name in _imports(trees[file]):
            closure(root, module_files(root, name), trees)
            if name in ALL_OF and "import_module" in file.read_text() + "".join(
                f.read_text() for f in module_files(root, name)
            ):
                closure(root, sorted((root / ALL_OF[name]).glob("*.py")), trees)
    return trees


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def code(root: Path, stage: Stage) -> dict[Path, ast.Module]:
    """Return what `python -m MODULE name=value ...` runs, files that it loads by name included."""
    roots = [stage.words[2]]
    roots += [f"{BY_NAME[k]}.{v}" for k, v in stage.arguments.items() if k in BY_NAME]
    files = [f for name in roots for f in module_files(root, name)]
    if "notebook" in stage.arguments:
        files.append(root / stage.arguments["notebook"])
    return closure(root, files, {})


def uncovered(root: Path, stage: Stage) -> list[str]:
    """Return the files that a stage runs and does not depend on."""
    ran = [f for f in code(root, stage) if f.read_text().strip()]
    bare = [f for f in ran if not any(f.is_relative_to(dep) for dep in stage.files)]
    packages = {root / "stages" / "__init__.py"}  # docstrings only
    return sorted(str(f.relative_to(root)) for f in bare if f not in packages and _does(f))


def _does(file: Path) -> bool:
    """Whether a file is more than a docstring."""
    return any(not isinstance(node, ast.Expr) for node in ast.parse(file.read_text()).body)


def unused(root: Path, instances: list[Stage]) -> list[str]:
    """Return the code files and folders that a stage depends on and none of its instances runs."""
    ran = {f for stage in instances for f in code(root, stage)}
    deps = {f for stage in instances for f in stage.files if _is_code(root, f)}
    idle = {dep for dep in deps if not any(f.is_relative_to(dep) for f in ran)}
    return sorted(str(dep.relative_to(root)) for dep in idle)


def _is_code(root: Path, dep: Path) -> bool:
    return dep.suffix == ".py" or (dep.is_relative_to(root / "src") and any(dep.glob("*.py")))


def undeclared(root: Path, stage: Stage) -> list[str]:
    """Return the parameters that a stage's code reads and dvc.yaml does not declare."""
    wrong = []
    for file, tree in code(root, stage).items():
        if file == root / "src/cell_synergy/core/config.py":
            continue
        for read in _reads(tree):
            if read is None:
                wrong.append(f"{file.name}: a section whose name cannot be read from the code")
            elif not any(_covers(declared, read) for declared in stage.params):
                wrong.append(f"{file.name}: {read}")
    return sorted(set(wrong))


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
