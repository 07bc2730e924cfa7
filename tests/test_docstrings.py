"""Every public function of two or more arguments documents each of them, in numpydoc's sections."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("src/cell_synergy", "runner", "slurm")
CONTRACTS = {
    "models": ("training/method.py", "training/loop.py", "training/products.py"),
    "encoders": ("encoders/__init__.py",), "readers": ("raw/readers/__init__.py",),
}  # fmt: skip
SKIPPED = {"property", "cached_property", "override", "overload"}


class Function(NamedTuple):
    """A public function or method, with the arguments that a caller passes."""

    file: str
    name: str
    arguments: list[str]
    docstring: str

    def undocumented(self) -> list[str]:
        """Return the arguments that the section `Parameters` does not name."""
        documented = set(parameters(self.docstring))
        return [name for name in self.arguments if name not in documented]


def parameters(docstring: str) -> Iterator[str]:
    """Yield the names that a docstring's section `Parameters` explains."""
    lines = docstring.splitlines()
    section = ""
    for line, after in zip(lines, [*lines[1:], ""], strict=False):
        if after.strip() and not after.strip("- "):
            section = line.strip()
        elif section == "Parameters" and line[:1].strip() and line.strip("- "):
            yield from (name.strip().lstrip("*") for name in line.partition(":")[0].split(","))


def arguments(function: ast.FunctionDef, *, method: bool) -> list[str]:
    """Return the names of the arguments that a caller passes."""
    taken = function.args
    names = [each.arg for each in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)]
    static = any(getattr(each, "id", "") == "staticmethod" for each in function.decorator_list)
    return names[1:] if method and not static else names


def functions(file: Path) -> Iterator[Function]:
    """Yield the public functions and methods of a source file."""
    for node in ast.parse(file.read_text("utf-8")).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        owner = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for each in inside:
            if not isinstance(each, ast.FunctionDef) or f".{owner}.{each.name}".count("._"):
                continue
            marks = {getattr(m, "attr", getattr(m, "id", "")) for m in each.decorator_list}
            if not marks & SKIPPED:
                names = arguments(each, method=bool(owner))
                relative = str(file.relative_to(ROOT))
                text = ast.get_docstring(each) or ""
                yield Function(relative, owner + each.name, names, text)


def contract(folder: str) -> set[str]:
    """Return the functions and methods that a folder's contract documents for all its modules."""
    files = [ROOT / "src/cell_synergy" / name for name in CONTRACTS[folder]]
    return {of_any_class(each.name) for file in files for each in functions(file)}


def of_any_class(name: str) -> str:
    """Return the name of a function, or that of a method with a dot in place of its class."""
    return name[name.find(".") :] if "." in name else name


def public() -> Iterator[Function]:
    """Yield every public function of two or more arguments; a contract's methods only once."""
    documented = {folder: contract(folder) for folder in CONTRACTS}
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            of_contract = documented.get(file.parent.name, set())
            if file.name == "__init__.py":
                of_contract = set()
            for function in functions(file):
                if of_any_class(function.name) not in of_contract:
                    yield function


SEVERAL = [function for function in public() if len(function.arguments) > 1]


def test_every_argument_of_every_public_function_is_documented():
    missing = {
        f"{function.file}: {function.name}": function.undocumented()
        for function in SEVERAL
        if function.undocumented()
    }
    assert not missing
    assert len(SEVERAL) > 300


@pytest.mark.parametrize(
    ("docstring", "missing"),
    [
        ("Add.\n\nParameters\n----------\na, b\n    Terms.", []),
        ("Add.\n\nParameters\n----------\na\n    A term.\n\nReturns\n-------\nb", ["b"]),
        ("Add a and b.", ["a", "b"]),
    ],
)
def test_the_test_sees_an_argument_that_is_not_documented(docstring, missing):
    assert Function("f.py", "add", ["a", "b"], docstring).undocumented() == missing
