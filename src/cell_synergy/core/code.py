"""The source that a program runs: all files of the repository that it imports, also indirectly."""

import ast
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import cell_synergy
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.fingerprint import fingerprint, text_hash
from cell_synergy.core.imports import BESIDE_REMEDY, Import, Source


class SourceTree:
    """The Python files of a repository, each parsed when it is first needed.

    Parameters
    ----------
    src
        Folder of packages.
    scripts
        Folder that is a package itself, `stages`. Files of the tree must not import other code
        beside it.

    Attributes
    ----------
    source
        Function that returns the parsed source of a file.
    """

    def __init__(self, src: Path, scripts: Path) -> None:
        self.src, self.scripts = src, scripts
        self.source = cache(self._source)
        self._file = cache(self._find_file)
        self._exists = cache(self._find)
        self._imported = cache(self._find_imported)

    def label(self, path: Path) -> str:
        """Return the path of a file relative to the root of the repository, for messages."""
        for folder in (self.src, self.scripts):
            if path.is_relative_to(folder):
                return f"{folder.name}/{path.relative_to(folder).as_posix()}"
        return f"{path.parent.name}/{path.name}"

    def files(self, module: str) -> list[Path]:
        """Return the files that the import of a module runs: its own and its parent packages'.

        Raises
        ------
        DataError
            If the repository has no such module.
        """
        if not self._exists(module):
            raise DataError(f"no module {module} in {self.src} or {self.scripts.parent}; add it")
        parts = module.split(".")
        above = [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        return [file for name in above if (file := self._file(name))]

    def members(self, package: str) -> dict[str, str]:
        """Return the full names of a package's public modules, by their short names.

        Raises
        ------
        DataError
            If the repository has no such package.
        """
        self.files(package)
        names = sorted({path.stem for path in self._stem(package).iterdir()})
        public = [name for name in names if name.isidentifier() and not name.startswith("_")]
        return {name: full for name in public if self._file(full := f"{package}.{name}")}

    def closure(self, roots: Iterable[Path], chosen: Mapping[str, str]) -> frozenset[Path]:
        """Return files and all that they import, directly or indirectly.

        A module imported by a name made at run time may be any module of its package: all of them
        count, unless `chosen` names one.

        Parameters
        ----------
        roots
            Files to start from.
        chosen
            Full names of package and module, for each package from which the program imports a
            single module by name. All modules of the package count if that module, or a file that
            it imports, imports modules of the package by name.

        Raises
        ------
        DataError
            If a file is not valid Python, imports a missing module or code of the repository that
            is outside of the tree, or hides what it imports.
        """
        files = self._closure(roots, chosen)
        for package, module in chosen.items():
            module_files = self._closure(self.files(module), chosen)
            if any(self._loads(file, package) for file in module_files):
                files |= self._closure(roots, {})
        return files

    def _closure(self, roots: Iterable[Path], chosen: Mapping[str, str]) -> frozenset[Path]:
        """Return files and all that they import, with one module of each chosen package."""
        visited: set[Path] = set()
        queue = set(roots)
        while queue:
            visited.add(file := queue.pop())
            files, packages = self._imported(file)
            for package in packages:
                members = list(self.members(package).values())
                modules = [chosen[package]] if package in chosen else members
                files = files.union(*(self.files(module) for module in modules))
            queue |= files - visited
        return frozenset(visited)

    def _loads(self, path: Path, package: str) -> bool:
        """Return whether a file other than the package's `__init__` imports its modules by name."""
        file, source = self._file(package), self.source(path)
        if path == file:
            return False
        loaders = self.source(file).loaders if file else frozenset()
        imported = {(each.module, name) for each in source.imports for name in each.names}
        return any(each.by_name and each.module == package for each in source.imports) or any(
            (package, name) in imported | source.attributes.keys() for name in (*loaders, "*")
        )

    def _source(self, path: Path) -> Source:
        """Return a file's parsed source; a file that is not valid Python is refused."""
        try:
            with tokenize.open(path) as file:
                text = file.read()
            tree = ast.parse(text)
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            where = f"{path}, line {line}" if line else f"{path}"
            reason = getattr(error, "msg", None) or error
            raise DataError(f"{where}: not valid Python ({reason}); correct it") from error
        return Source(path, text, tree, self._module(path))

    def _module(self, path: Path) -> str:
        """Return the name under which a file is imported; empty for a file outside of the tree."""
        for base, folder in ((self.src, self.src), (self.scripts.parent, self.scripts)):
            if path.is_relative_to(folder):
                parts = path.relative_to(base).with_suffix("").parts
                return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        return ""

    def _stem(self, module: str) -> Path:
        """Return the path of a module without its suffix, whether it exists or not."""
        top, *rest = module.split(".")
        base = self.scripts.parent if top == self.scripts.name else self.src
        return base.joinpath(top, *rest)

    def _find_file(self, module: str) -> Path | None:
        """Return the file of a module; None for a folder without `__init__`."""
        stem = self._stem(module)
        files = (stem / "__init__.py", stem.with_name(f"{stem.name}.py"))
        return next(filter(Path.is_file, files), None)

    def _find(self, module: str) -> bool:
        """Return whether the tree has a module, or a folder of modules, of this name."""
        return self._file(module) is not None or any(self._stem(module).glob("**/*.py"))

    def _find_imported(self, path: Path) -> tuple[frozenset[Path], frozenset[str]]:
        """Return the files that a file imports, and packages whose modules it imports by name."""
        source = self.source(path)
        files: set[Path] = set()
        packages: set[str] = set()
        for statement in source.imports:
            if not self._is_internal(source, statement):
                continue
            if not self._exists(statement.module):
                raise source.error(
                    statement.line, f"there is no module {statement.module}; correct it"
                )
            files.update(self.files(statement.module))
            if statement.by_name:
                packages.add(statement.module)
            for name in statement.names:
                files.update(self._imported_name(source, statement, name))
        for (module, name), line in source.attributes.items():
            if not (self._exists(module.partition(".")[0]) and self._exists(module)):
                continue
            if name == "__file__":
                raise source.error(line, f"{module}.{name} {BESIDE_REMEDY}")
            inner = f"{module}.{name}"
            files.update(self.files(inner) if self._exists(inner) else self._lazy(module, name))
        return frozenset(files), frozenset(packages)

    def _is_internal(self, source: Source, statement: Import) -> bool:
        """Return whether an import is of this tree; other code of the repository is refused.

        The stage that hashes the tree does not depend on such code and would miss its changes.
        """
        top = statement.module.partition(".")[0]
        if self._exists(top):
            return True
        sibling = self.scripts.parent / top
        if sibling.with_suffix(".py").is_file() or any(sibling.glob("**/*.py")):
            raise source.error(
                statement.line,
                f"{top} lies outside of {self.src} and {self.scripts}; move it there",
            )
        return False

    def _imported_name(self, source: Source, statement: Import, name: str) -> list[Path]:
        """Return the files that run when a name is imported from a module."""
        if name == "*":
            raise source.error(statement.line, f"import names from {statement.module} instead of *")
        if self._exists(module := f"{statement.module}.{name}"):
            return self.files(module)
        if self._file(statement.module) is None:
            raise source.error(statement.line, f"there is no module {module}; correct it")
        return self._lazy(statement.module, name)

    def _lazy(self, module: str, name: str) -> list[Path]:
        """Return the files that the `__getattr__` of a module may import for an attribute.

        These are all modules whose name, full or relative to the package, is a string in its file.
        """
        file = self._file(module)
        if file is None or name.startswith("__"):
            return []
        source = self.source(file)
        if not source.lazy or name in source.defined:
            return []
        texts = [text.lstrip(".") for text in source.strings]
        names = [name for text in texts for name in (text, f"{source.package}.{text}")]
        homes = [
            name
            for name in names
            if name != module and all(map(str.isidentifier, name.split("."))) and self._file(name)
        ]
        if not homes:
            raise DataError(
                f"{file}: {name} comes from __getattr__, and no string in the file is the name of "
                "a module that could have it; write the module's name as a string"
            )
        return [path for home in homes for path in self.files(home)]


def listed(tree: SourceTree, files: Iterable[Path], whole: Sequence[Path] = ()) -> str:
    """Return a text with one line, `<hash>  <path>`, for each file, sorted by path.

    Parameters
    ----------
    tree
        Source tree of the files.
    files
        Files to list, each hashed by `fingerprint`; those without code are left out.
    whole
        Those of `files` whose whole text is hashed, with comments and docstrings.
    """
    lines = []
    for path in sorted(files, key=tree.label):
        source = tree.source(path)
        code_hash = text_hash(source.text) if path in whole else fingerprint(source)
        if code_hash:
            lines.append(f"{code_hash}  {tree.label(path)}\n")
    return "".join(lines)


def require_own_copy(src: Path) -> None:
    """Refuse to hash other code than stages import.

    The two differ in a second clone whose environment has the package of the first one installed.

    Parameters
    ----------
    src
        Folder of the hashed package; a folder without it is accepted.

    Raises
    ------
    ConfigError
        If the imported package differs from the one in the folder.
    """
    imported = Path(str(cell_synergy.__file__)).parent
    hashed = src / imported.name
    if (
        hashed.is_dir()
        and not hashed.samefile(imported)
        and _contents(hashed) != _contents(imported)
    ):
        raise ConfigError(
            f"stages would run {imported}, which differs from {hashed.resolve()}; set "
            f"PYTHONPATH={src.resolve()}, or install this copy: `pip install -e .`"
        )


def _contents(package: Path) -> dict[str, bytes]:
    """Return the contents of a package's source files, by relative path."""
    return {str(path.relative_to(package)): path.read_bytes() for path in package.rglob("[!.]*.py")}
