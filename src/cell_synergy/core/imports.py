"""What a Python file imports, read from its source without executing it.

Imports inside functions count. An import by a name that is made at run time has to be written so
that its package can be read from the source: `import_module(f"{__name__}.{name}")`.
"""

import ast
import symtable
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cell_synergy.core.errors import DataError

_BUILTINS = {"exec", "eval"}  # as plain names; `network.eval()` is harmless
_EXECUTORS = {"builtins.exec", "builtins.eval", "sys.executable"}  # as attributes
_LOADERS = {
    "exec_module", "load_module", "resolve_name", "run_module", "run_path", "runpy",
    "SourceFileLoader", "spec_from_file_location",
}  # fmt: skip
_BY_NAME = {"import_module", "__import__"}
_REMEDY = (
    'write import_module(f"{__name__}.{name}"), or the package\'s name in place of __name__, so '
    "that the package can be read from the code"
)
_BESIDE = ("__file__", "importlib.resources", "pkg_resources", "pkgutil.get_data")
BESIDE_REMEDY = (
    "leads to files beside the code, whose changes would go unseen; give their path to the stage "
    "as an argument, and name it under deps in dvc.yaml"
)
_DESCRIPTIONS = {"__doc__", "getcomments", "getdoc", "getsource", "getsourcelines"}
_DESCRIPTION_REMEDY = (
    "reads docstrings or comments, whose changes would go unseen; keep the text in a constant"
)


@dataclass(frozen=True)
class Import:
    """An import statement, or a call that imports.

    Attributes
    ----------
    line
        Line of the statement or call.
    module
        The module's full name.
    names
        Submodules or attributes that are imported from the module.
    by_name
        Whether a module of the package `module` is imported by a name that is made at run time.
    """

    line: int
    module: str
    names: tuple[str, ...] = ()
    by_name: bool = False


@dataclass(frozen=True, eq=False)
class Source:
    """One Python file, and what it imports.

    Parameters
    ----------
    path
        The file, for messages.
    text, tree
        Its content, and the parsed content.
    module
        Name under which the file is imported; empty for a notebook.
    """

    path: Path
    text: str
    tree: ast.Module
    module: str

    @cached_property
    def package(self) -> str:
        """The package that relative imports start from."""
        is_package = self.path.name == "__init__.py"
        return self.module if is_package else self.module.rpartition(".")[0]

    @cached_property
    def lazy(self) -> bool:
        """Whether a `__getattr__` of the module resolves attributes that it does not define."""
        return "__getattr__" in self.defined

    @cached_property
    def defined(self) -> frozenset[str]:
        """Names that the module binds at its top level."""
        symbols = symtable.symtable(self.text, str(self.path), "exec").get_symbols()
        return frozenset(s.get_name() for s in symbols if s.is_assigned() or s.is_imported())

    @cached_property
    def strings(self) -> frozenset[str]:
        """All string constants."""
        nodes = ast.walk(self.tree)
        return frozenset(
            n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)
        )

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """All statements and calls that import.

        Raises
        ------
        DataError
            If a call hides what it imports.
        """
        return (*self._statements(), *self._calls())

    @cached_property
    def attributes(self) -> dict[tuple[str, str], int]:
        """Uses of imported objects: (full name of the object, attribute), with a line.

        The attribute is `*` if the object is used as a whole, so that any attribute may be read.
        """
        attributes: dict[tuple[str, str], int] = {}
        inner: set[int] = set()  # `ast.walk` visits a node before its parts
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                inner.add(id(node.value))
                above, _, last = _dotted(node).rpartition(".")
                attributes |= {(module, last): node.lineno for module in self._resolved(above)}
            elif isinstance(node, ast.Name) and id(node) not in inner:
                attributes |= {(module, "*"): node.lineno for module in self._resolved(node.id)}
        return attributes

    @cached_property
    def loaders(self) -> frozenset[str]:
        """Functions and classes of the file that import a module by a name made at run time."""
        lines = [statement.line for statement in self.imports if statement.by_name]
        return frozenset(
            node.name
            for node in self.tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if any(node.lineno <= line <= (node.end_lineno or 0) for line in lines)
        )

    def error(self, line: int, sentence: str) -> DataError:
        """Return an error about a line of the file.

        Parameters
        ----------
        line
            Number of the line, from 1.
        sentence
            What is wrong, and the remedy.
        """
        return DataError(f"{self.path}, line {line}: {sentence}")

    def _statements(self) -> Iterator[Import]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (Import(node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = self._absolute("." * node.level + (node.module or ""), node.lineno)
                yield Import(node.lineno, module, tuple(alias.name for alias in node.names))

    def _absolute(self, name: str, line: int) -> str:
        """Return the full name of a module; `name` may be relative to the package."""
        rest = name.lstrip(".")
        up = len(name) - len(rest)
        if not up:
            return name
        parts = self.package.split(".") if self.package else []
        if len(parts) < up:
            raise self.error(line, f"{name} leads out of all packages; name the module in full")
        return ".".join([*parts[: len(parts) - up + 1], *filter(None, [rest])])

    @cached_property
    def _bound(self) -> dict[str, set[str]]:
        """Full names of the modules or attributes that each imported name may refer to."""
        bound: dict[str, set[str]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    meaning = alias.name if alias.asname else top
                    bound.setdefault(alias.asname or top, set()).add(meaning)
            elif isinstance(node, ast.ImportFrom):
                module = self._absolute("." * node.level + (node.module or ""), node.lineno)
                for alias in node.names:
                    meaning = f"{module}.{alias.name}"
                    bound.setdefault(alias.asname or alias.name, set()).add(meaning)
        return bound

    def _resolved(self, dotted: str) -> set[str]:
        """Return the full names that a dotted name may refer to; none if no import binds it."""
        root, dot, rest = dotted.partition(".")
        return {f"{module}{dot}{rest}" for module in self._bound.get(root, ())}

    def _calls(self) -> Iterator[Import]:
        """Yield the imports by calls, except those in the module's own `__getattr__`."""
        getters = [n for n in self.tree.body if getattr(n, "name", "") == "__getattr__"]
        skipped = {id(node) for getter in getters for node in ast.walk(getter)}
        called: set[int] = set()
        for node in ast.walk(self.tree):  # a call is visited before the name of its function
            if id(node) in skipped:
                continue
            if isinstance(node, ast.Call) and _last(self._meanings(node.func)) & _BY_NAME:
                called.add(id(node.func))
                yield self._by_name(node)
            elif id(node) not in called:
                self._refuse_hidden(node)

    def _meanings(self, node: ast.AST) -> set[str]:
        """Return the names that a node may refer to, in full where an import binds them."""
        if isinstance(node, ast.Name):
            return self._resolved(node.id) or {node.id}
        if isinstance(node, ast.Attribute):
            return self._resolved(_dotted(node)) or {f"?.{node.attr}"}
        return set()

    def _refuse_hidden(self, node: ast.AST) -> None:
        """Refuse imports that cannot be read, and dependence on docstrings, comments or files."""
        meanings = self._meanings(node)
        last = _last(meanings)
        hidden = last & (_LOADERS | _BY_NAME) or meanings & _EXECUTORS
        beside = {name for name in meanings if name.startswith(_BESIDE)}
        described = last & _DESCRIPTIONS
        if isinstance(node, ast.Name):
            hidden, described = hidden or last & _BUILTINS, described - {"__doc__"}
        for names, sentence in (
            (hidden, f"hides what is imported; {_REMEDY}"),
            (beside, BESIDE_REMEDY),
            (described, _DESCRIPTION_REMEDY),
        ):
            if names:
                raise self.error(getattr(node, "lineno", 0), f"{min(names)} {sentence}")

    def _by_name(self, call: ast.Call) -> Import:
        """Return the import by a call of `import_module`."""
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        name = call.args[0] if call.args else keywords.get("name", call)
        anchor = call.args[1] if len(call.args) > 1 else keywords.get("package")
        prefix, hole, suffix = self._pattern(name).partition("*")
        if not prefix or (hole and not prefix.endswith(".")) or "." in suffix:
            raise self.error(call.lineno, f"what is imported cannot be read; {_REMEDY}")
        if prefix.startswith(".") and getattr(anchor, "id", "") != "__package__":
            raise self.error(call.lineno, f"a relative name without __package__; {_REMEDY}")
        if hole and prefix.strip("."):
            prefix = prefix.removesuffix(".")
        return Import(call.lineno, self._absolute(prefix, call.lineno), by_name=bool(hole))

    def _pattern(self, node: ast.AST) -> str:
        """Return the text of an expression, with `*` for parts determined at run time."""
        if isinstance(node, ast.JoinedStr):
            return "".join(map(self._pattern, node.values))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._pattern(node.left) + self._pattern(node.right)
        if isinstance(node, ast.FormattedValue):
            return self._pattern(node.value)
        if isinstance(node, ast.Constant):
            return str(node.value)
        constants = {"__name__": self.module, "__package__": self.package}
        return constants.get(node.id, "*") if isinstance(node, ast.Name) else "*"


def _dotted(node: ast.AST) -> str:
    """Return `a.b.c` as text; empty for attributes of anything but a name."""
    if isinstance(node, ast.Attribute):
        above = _dotted(node.value)
        return f"{above}.{node.attr}" if above else ""
    return node.id if isinstance(node, ast.Name) else ""


def _last(names: set[str]) -> set[str]:
    """Return the last parts of dotted names."""
    return {name.rpartition(".")[2] for name in names}
