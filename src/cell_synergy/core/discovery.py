"""The modules of a folder, of which each is a method, an expert or a reader."""

from collections.abc import Iterable
from pkgutil import iter_modules


def module_names(folders: Iterable[str]) -> list[str]:
    """Return the names of the modules in folders, without packages and names that start with `_`.

    None of the modules is imported.
    """
    return [
        module.name
        for module in iter_modules(list(folders))
        if not (module.ispkg or module.name.startswith("_"))
    ]
