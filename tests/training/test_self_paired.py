"""The control of any method on one expert paired with itself: the other expert has no influence."""

from dataclasses import replace

import numpy as np
import pytest

from cell_synergy import models
from cell_synergy.core.config import validate
from cell_synergy.core.names import UNIMODAL
from cell_synergy.training.method import FitSpec, Pairs
from cell_synergy.training.self_paired import SelfPaired
from tests.models.conftest import PARAMS, context, fit_one, load, pairs

__all__ = ["context", "fit_one", "load", "pairs"]  # fixtures of the tests of all methods

OTHER = {"image": "expression", "expression": "image"}
NAMES = [
    name
    for name in models.names()
    if name not in UNIMODAL
    and not isinstance(models.load(name, PARAMS["models"][name]), SelfPaired)
]


def control_of(name, expert, **changed):
    """Return the control of a method, made as a file of the study is."""
    block = PARAMS["models"][name] | changed
    method = type(models.load(name, block))
    made = type("Model", (SelfPaired, method), {"__module__": __name__, "expert": expert})
    return validate(made, block, f"models.{name}")


def noise(pairs, d):
    return np.random.default_rng(9).standard_normal((len(pairs.donor), d)).astype(np.float32)


@pytest.mark.parametrize("expert", UNIMODAL)
@pytest.mark.parametrize("name", NAMES)
def test_the_other_expert_changes_neither_weights_nor_embedding(
    name, expert, pairs, context, fit_one
):
    control = control_of(name, expert)
    changed = replace(pairs, **{OTHER[expert]: noise(pairs, 7)})
    first, second = (fit_one(control, each, context) for each in (pairs, changed))
    assert {k: v.tobytes() for k, v in first.items()} == {k: v.tobytes() for k, v in second.items()}
    joint = control.transform(first, pairs.image, pairs.expression)
    np.testing.assert_array_equal(
        control.transform(first, changed.image, changed.expression), joint
    )
    moved = replace(pairs, **{expert: getattr(pairs, expert) + 1})
    assert (control.transform(first, moved.image, moved.expression) != joint).any(axis=1).all()


@pytest.mark.parametrize("expert", UNIMODAL)
@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_method_on_the_expert_twice(name, expert, pairs, context, fit_one, load):
    x = getattr(pairs, expert)
    by_hand = fit_one(load(name), Pairs(x, x, pairs.donor), context)
    fitted = fit_one(control_of(name, expert), pairs, context)
    assert list(fitted) == list(by_hand)
    for key, array in fitted.items():
        np.testing.assert_array_equal(array, by_hand[key])


def test_the_validation_curve_is_of_the_same_pairs(pairs, context):
    logged = []
    run = replace(context, log=lambda name, loss, _: logged.append((name, loss)))
    control = control_of("simclr", "image")
    for seen in (pairs, replace(pairs, expression=noise(pairs, 40))):
        control.fit([FitSpec("holdout-0", pairs, seen, 0)], run)
    first, second = logged[: len(logged) // 2], logged[len(logged) // 2 :]
    assert {name for name, _ in first} == {"train/holdout-0", "validation/holdout-0"}
    assert first == second


def test_both_views_of_cca_are_the_same_directions(pairs, context, fit_one):
    """Which have no rotation left to choose: with a ridge, correlations fall with the variance."""
    control = control_of("cca", "image")
    weights = fit_one(control, pairs, context)
    np.testing.assert_allclose(weights["image"], weights["expression"], atol=1e-4)
    assert (np.diff(weights["correlations"]) < 0).all()


def test_both_encoders_of_a_network_differ(pairs, context, fit_one):
    """So that the joint embedding is not one encoding twice."""
    joint = (control := control_of("simclr", "expression")).transform(
        fit_one(control, pairs, context), pairs.image, pairs.expression
    )
    first, second = np.split(joint, 2, axis=1)
    assert np.abs(first - second).max() > 0.1 * np.abs(joint).max()
