"""The file that a new method is copied from, and the page about it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from cell_synergy import models
from cell_synergy.core.config import validate
from cell_synergy.core.errors import ConfigError
from cell_synergy.models._template import Model, soft_cca

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/your-own-method.md").read_text()
NAME = "copied"


def block():
    """Return the page's first YAML block, which goes into params.yaml."""
    (text, *_) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    return str(text)


@pytest.fixture(scope="module")
def template():
    parsed = YAML(typ="safe").load(block())["models"]
    return validate(Model, parsed["softcca"], "models.softcca")


@pytest.fixture
def white():
    """Return rows whose features have variance 1 and do not covary."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(40, 6, dtype=torch.float64, generator=generator)
    return 40**0.5 * torch.linalg.qr(z - z.mean(dim=0))[0]


def test_the_template_is_no_method_of_the_study():
    assert not [name for name in models.names() if "template" in name]


def test_the_template_fits_and_embeds_with_the_values_of_the_page(
    template, pairs, context, fit_one
):
    weights = fit_one(template, pairs, context)
    joint = template.transform(weights, pairs.image[:7], pairs.expression[:7])
    assert joint.shape == (7, template.width)
    assert np.isfinite(joint).all()


@pytest.mark.parametrize(
    "changed", [{"decorelation": 2.0}, {"decorrelation": None}, {"width": 65}], ids=str
)
def test_the_page_quotes_the_messages_about_hyperparameters(template, changed):
    values = template.model_dump() | changed
    values = {name: value for name, value in values.items() if value is not None}
    with pytest.raises(ConfigError) as raised:
        validate(Model, values, "models.softcca")
    assert f"`{raised.value}`" in PAGE


def test_the_page_names_files_that_are_there():
    named = re.findall(r"`((?:src|tests|training|stages|benchmarks)/[\w./]+)`", PAGE)
    folders = (ROOT, ROOT / "src/cell_synergy")
    missing = [name for name in named if not any((each / name).exists() for each in folders)]
    assert len(named) > 4
    assert missing == [
        "tests/models/test_softcca.py",
        "benchmarks/tune/softcca.csv",
    ]  # by the reader


def test_the_pages_control_of_the_template_sees_one_expert(template, pairs, context, fit_one):
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    module: dict[str, Any] = {"__name__": "softcca_image"}
    exec(source.replace(".models.softcca", ".models._template"), module)  # noqa: S102 - our page's
    control = validate(module["Model"], template.model_dump(), "models.softcca_image")
    weights = fit_one(control, pairs, context)
    joint = control.transform(weights, pairs.image, pairs.expression)
    assert (control.transform(weights, pairs.image, 2 * pairs.expression) == joint).all()
    assert (control.transform(weights, 2 * pairs.image, pairs.expression) != joint).any()


def test_equal_projections_of_uncorrelated_features_have_no_loss(white):
    assert soft_cca(white, 3 * white + 1, 1.0).item() == pytest.approx(0, abs=1e-4)


def test_the_distance_is_that_of_standardised_projections(white):
    assert soft_cca(white, -white, 1.0).item() == pytest.approx(4, rel=1e-4)


def test_the_penalty_is_the_mean_absolute_correlation_of_different_features(white):
    repeated = white[:, :1].expand(-1, 6)
    assert soft_cca(repeated, repeated, 0.5).item() == pytest.approx(0.5 * 2, rel=1e-4)


def test_a_projection_of_one_feature_is_refused(template):
    with pytest.raises(ConfigError, match="width"):
        validate(Model, template.model_dump() | {"width": 2}, "models.softcca")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A repository to which the template was added as the page says, under another name."""
    where = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("src", "tests/models", "tests/golden"):
        shutil.copytree(ROOT / name, where / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "params.yaml", "docs/your-own-method.md", "tests/conftest.py"):
        (where / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, where / name)
    (copy,) = re.findall(r"^cp .*$", PAGE, flags=re.MULTILINE)
    subprocess.run(copy.replace("softcca", NAME).split(), cwd=where, check=True)
    params = (where / "params.yaml").read_text()
    added = block().replace("softcca", NAME)
    assert params.count("\nmodels:\n") == 1
    (where / "params.yaml").write_text(params.replace("\nmodels:\n", f"\n{added}"))
    return where


def run(where, *words):
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=where, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(where / "src")},
    )  # fmt: skip


def test_a_copy_of_the_template_has_nothing_to_lint(tree):
    file = f"src/cell_synergy/models/{NAME}.py"
    for words in (["check"], ["format", "--check"]):
        done = run(tree, "ruff", *words, file)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_copy_of_the_template_passes_the_tests_of_all_methods(tree):
    done = run(
        tree, "pytest", "-q", "-p", "no:cacheprovider", "-k", f"{NAME} or exactly_the_files",
        "-o", "addopts=--import-mode=importlib --strict-markers", "tests/models",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) > 20
