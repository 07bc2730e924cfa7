"""A repository of a few lines, whose stage `fit` loads one model."""

from pathlib import Path

from stages import code

FILES = {
    "src/pkg/__init__.py": '''
"""A package that imports some attributes when they are asked for."""
from importlib import import_module
_HOMES = {"score": "pkg.scores", "local": ".space.tools"}
own = 1
def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __package__), name)
    raise AttributeError(name)
''',
    "src/pkg/scores.py": "score = 1\n",
    "src/pkg/util.py": '''
"""Docstring."""
LIMIT = 3  # comment
def check(x):
    """Docstring."""
    if x > LIMIT:
        raise ValueError(f"{x} is more than {LIMIT}; " "take less")
    return x
''',
    "src/pkg/empty/__init__.py": '"""Nothing but a docstring."""\n',
    "src/pkg/empty/deep.py": "from ..util import check\n",
    "src/pkg/space/tools.py": "local = 1\n",
    "src/pkg/models/__init__.py": """
from importlib import import_module
from pkgutil import iter_modules
def load(name):
    return import_module(f"{__name__}.{name}").Model
""",
    "src/pkg/models/_base.py": "class Base:\n    pass\n",
    "src/pkg/models/a.py": "from pkg.models._base import Base\nclass Model(Base):\n    width = 1\n",
    "src/pkg/models/b.py": "class Model:\n    def fit(self):\n        import pkg.empty.deep\n",
    "stages/__init__.py": "",
    "stages/fit.py": "from pkg import models\nprint(models.load('a'))\n",
    "stages/every.py": "from pkg.models import load\n",
    "stages/plain.py": "import pkg.util as tools\nfrom pkg import own\nprint(tools.LIMIT, own)\n",
    "stages/lazy.py": "from pkg import score\n",
    "stages/figures.py": "import json\n",
    "notebooks/draw.py": "# %% [markdown]\n# Words.\nfrom pkg.space import tools\n",
}


def build(root):
    """Write the repository into a folder."""
    for name, text in FILES.items():
        write(root, name, text)


def write(root, name, text):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def edit(root, name, old, new):
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


def made(root=Path()):
    """Return what the stage writes: text by name."""
    folders = {name: root / name for name in ("src", "stages", "notebooks")}
    code.main(code.Args(**folders, out=Path("out")))
    return {str(p.relative_to("out")): p.read_text() for p in Path("out").rglob("*") if p.is_file()}


def names(text):
    return [line.split("  ")[1] for line in text.splitlines()]


def changed(before, after):
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
