"""The contract of a method, for every file in src/cell_synergy/models/."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from cell_synergy import models
from cell_synergy.core.errors import ConfigError
from cell_synergy.training import weights as files
from cell_synergy.training.self_paired import SelfPaired

NAMES = models.names()
BLOCKS = YAML(typ="safe").load(Path(__file__).parents[2] / "params.yaml")["models"]


def content(weights):
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in weights.items()}


def test_params_list_exactly_the_files():
    assert sorted(BLOCKS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_opens_with_its_card(name):
    card = __import__(f"cell_synergy.models.{name}", fromlist=["Model"]).__doc__
    assert card is not None
    assert len(card) > 50


@pytest.mark.parametrize("name", NAMES)
def test_any_rows_can_be_transformed(name, load, fitted, pairs):
    weights = fitted(name)
    rng = np.random.default_rng(1)
    for n_obs in (1, 7, 500):
        image = rng.standard_normal((n_obs, pairs.image.shape[1])).astype(np.float32)
        expression = rng.standard_normal((n_obs, pairs.expression.shape[1])).astype(np.float32)
        joint = load(name).transform(weights, image, expression)
        assert joint.dtype == np.float32
        assert len(joint) == n_obs
        assert np.isfinite(joint).all()


@pytest.mark.parametrize("name", [name for name in NAMES if "width" in BLOCKS[name]])
def test_the_joint_embedding_has_the_width_of_the_parameters(name, load, fitted, pairs):
    joint = load(name).transform(fitted(name), pairs.image, pairs.expression)
    sides_and_products = 3 if name == "comm_products" else 1
    assert joint.shape[1] == sides_and_products * BLOCKS[name]["width"]


@pytest.mark.parametrize("name", NAMES)
def test_blocks_side_by_side_are_the_joint_embedding(name, load, fitted, pairs):
    method, weights = load(name), fitted(name)
    blocks = method.embed(weights, pairs.image, pairs.expression)
    widths = method.block_widths(pairs.image.shape[1], pairs.expression.shape[1])
    assert not widths or [block.shape[1] for block in blocks] == list(widths)
    joint = method.transform(weights, pairs.image, pairs.expression)
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), joint)
    assert (len(blocks) == 2) == (name in ("concat", "concat_full"))


@pytest.mark.parametrize("name", NAMES)
def test_the_embedding_of_an_observation_does_not_depend_on_the_others(name, load, fitted, pairs):
    weights, method = fitted(name), load(name)
    joint = method.transform(weights, pairs.image, pairs.expression)
    order = np.random.default_rng(2).permutation(len(joint))[:20]
    subset = method.transform(weights, pairs.image[order], pairs.expression[order])
    np.testing.assert_allclose(subset, joint[order], rtol=0, atol=2e-5 * np.abs(joint).max())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bytes(name, fit, fitted):
    first = content(fitted(name))
    torch.manual_seed(1234)
    np.random.seed(1234)  # noqa: NPY002 - the global state must not matter
    assert content(fit(name)) == first


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_other_weights_only_if_the_method_is_seeded(name, load, fit, fitted):
    assert (content(fit(name, 1)) != content(fitted(name))) == load(name).seeded


@pytest.mark.parametrize("name", NAMES)
def test_self_paired_controls_and_methods_without_randomness_are_fitted_once(name, load):
    method = load(name)
    is_fitted_once = isinstance(method, SelfPaired) or not method.seeded
    assert method.n_seeds(3) == (1 if is_fitted_once else 3)


@pytest.mark.parametrize("name", NAMES)
def test_fit_and_transform_leave_their_inputs_as_they_are(name, load, fitted, pairs):
    before = [a.copy() for a in (pairs.image, pairs.expression, pairs.donor)]
    weights = fitted(name)
    fitted_content = content(weights)
    load(name).transform(weights, pairs.image, pairs.expression)
    for array, old in zip((pairs.image, pairs.expression, pairs.donor), before, strict=True):
        np.testing.assert_array_equal(array, old)
    assert content(weights) == fitted_content


@pytest.mark.parametrize("name", NAMES)
def test_weights_survive_half_precision_on_disk(name, load, fitted, pairs, tmp_path):
    weights, method = fitted(name), load(name)
    files.save(tmp_path, "holdout-0", weights, "")
    joint = method.transform(weights, pairs.image, pairs.expression)
    read = method.transform(files.load(tmp_path, "holdout", 0, ""), pairs.image, pairs.expression)
    assert np.abs(read - joint).max() < 0.01 * np.abs(joint).max()


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_hyperparameter_is_refused(name):
    with pytest.raises(ConfigError, match=rf"models\.{name}\.nonsense: unknown parameter"):
        models.load(name, BLOCKS[name] | {"nonsense": 1})


@pytest.mark.parametrize("name", [name for name in NAMES if BLOCKS[name]])
def test_a_misspelt_hyperparameter_is_refused_with_the_nearest_name(name):
    *_, key = BLOCKS[name]
    with pytest.raises(ConfigError, match=f"did you mean '{key}'"):
        models.load(name, BLOCKS[name] | {f"{key}s": 1})


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (name, key)
        for name in NAMES
        for key in BLOCKS[name]
        if not isinstance(BLOCKS[name][key], str)
    ],
)
def test_a_hyperparameter_has_no_default_and_must_be_positive(name, key):
    rest = {k: v for k, v in BLOCKS[name].items() if k != key}
    with pytest.raises(ConfigError, match=rf"models\.{name}\.{key}: missing"):
        models.load(name, rest)
    with pytest.raises(ConfigError, match=rf"models\.{name}\.{key}: .*greater than \d+, got 0"):
        models.load(name, rest | {key: 0})


def test_an_unknown_method_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"no method 'com'.*did you mean 'comm'"):
        models.load("com", {})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Method:\n    pass\n", "has no class Model that derives from Method"),
        ("class Model:\n    pass\n", "has no class Model that derives from Method"),
        (
            "from cell_synergy.training.method import Method\nclass Model(Method):\n    pass\n",
            "class Model lacks fit, transform",
        ),
    ],
)
def test_a_file_that_breaks_the_contract_is_refused(source, message, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(source)
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "cell_synergy.models.broken", raising=False)
    with pytest.raises(ConfigError, match=rf"broken\.py: {message}"):
        models.load("broken", {})
