"""Methods with products: what an InfoNCE critic cannot multiply, sides, products, and controls."""

import numpy as np
import pytest
import torch

from cell_synergy.core.config import read_section
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.principal_axes import principal_axes
from cell_synergy.models.dim import infonce
from cell_synergy.training.cca import Covariances, covariances, solve
from cell_synergy.training.method import Pairs
from cell_synergy.training.products import with_products

# Two views of two independent binary states, which correlate by RHO between the views. A view has
# four values, on which every function is a combination of 1, both states and their XOR: the columns
# of STATES, which are orthogonal.
RHO = 0.8, 0.5
STATES = np.array([[1, a, b, a * b] for a in (1, -1) for b in (1, -1)], dtype=np.float64)
BOTH = np.prod([1 + r * np.outer(s, s) for r, s in zip(RHO, STATES.T[1:3], strict=True)], axis=0)
JOINT = BOTH / 16  # p(x, y); all values of a view are equally likely


def weights_of_states(critic):
    """Return the coefficients of a critic T(x, y) on products of a function of x and one of y."""
    return STATES.T @ critic @ STATES / 16


def gradient_of_infonce(critic):
    """Return the derivative of the mean InfoNCE loss over all batches of two pairs, exactly."""
    scores = torch.tensor(critic, requires_grad=True)
    loss = torch.zeros((), dtype=torch.float64)
    cells = [(x, y) for x in range(4) for y in range(4)]
    for x1, y1 in cells:
        for x2, y2 in cells:
            batch = scores[[[x1, x1], [x2, x2]], [[y1, y2], [y1, y2]]]
            loss = loss + JOINT[x1, y1] * JOINT[x2, y2] * infonce(batch, torch.eye(2).double())
    (gradient,) = torch.autograd.grad(loss, scores)
    return gradient.numpy()


def test_the_best_critic_of_infonce_gives_the_xor_of_independent_states_no_weight():
    information = np.log(BOTH)  # pointwise mutual information: the ratio to a product of margins
    np.testing.assert_allclose(gradient_of_infonce(information), 0, atol=1e-12)
    assert np.abs(gradient_of_infonce(BOTH)).max() > 1e-3  # of the ratio itself: not stationary
    coefficients = weights_of_states(information)
    expected = [np.arctanh(rho) for rho in RHO]
    np.testing.assert_allclose(np.diag(coefficients)[1:], [*expected, 0], atol=1e-12)
    np.testing.assert_allclose(coefficients - np.diag(np.diag(coefficients)), 0, atol=1e-12)


def test_the_density_ratio_has_the_xor_as_eigenfunction_with_the_product_of_both_correlations():
    expected = np.diag([1, *RHO, RHO[0] * RHO[1]])
    np.testing.assert_allclose(weights_of_states(BOTH), expected, atol=1e-12)
    # Its singular functions are the canonical variates of all functions of the two views.
    functions = STATES[:, 1:]
    view = functions.T @ functions / 4
    moments = Covariances(10**6, 1e-16, view, functions.T @ JOINT @ functions, view)
    solution = solve(moments, 0.0)
    np.testing.assert_allclose(solution.correlations, [*RHO, RHO[0] * RHO[1]])
    np.testing.assert_allclose(np.abs(solution.image[:, 2]), [0, 0, 1], atol=1e-12)


def states(rule):
    """Return pairs in which each expert shows one state and both a third one, and the states."""
    rng = np.random.default_rng(0)
    both, image, expression = rng.choice([-1.0, 1.0], (3, 2000))
    follows = np.where(rng.random(2000) < 0.9, image, -image)
    if rule:  # the tissue that a method is fitted on: expression follows the image in 9 of 10
        expression = follows
    mixing1, mixing2 = (np.linalg.qr(rng.standard_normal((6, 6)))[0] for _ in range(2))
    noise = 0.2 * rng.standard_normal((2, 2000, 6))
    columns = np.column_stack([both, image]), np.column_stack([both, expression])
    x1, x2 = (
        (state @ mixing[:2] + each).astype(np.float32)
        for state, mixing, each in zip(columns, (mixing1, mixing2), noise, strict=True)
    )
    return Pairs(x1, x2, np.repeat("A", 2000)), image * expression


def explained(z, y):
    """Return the share of the variance of `y` that a linear map of `z` explains."""
    design = np.column_stack([z, np.ones(len(z))])
    return 1 - np.var(y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) / np.var(y)


@pytest.mark.parametrize(
    ("name", "linear"), [("cca", False), ("bilinear", True), ("bilinear_full", True)]
)
def test_products_make_a_matched_state_linear_and_its_sides_alone_do_not(
    name, linear, load, context, fit_one
):
    method = load(name, components=2, ridge=0.01)
    weights = fit_one(method, states(rule=True)[0], context)
    new, matched = states(rule=False)
    share = explained(method.transform(weights, new.image, new.expression), matched)
    assert (share > 0.7) == linear
    assert linear or share < 0.05


@pytest.mark.parametrize(
    ("name", "features"),
    [("bilinear", 96), ("bilinear_full", 288), ("pca_products", 96), ("random_products", 96),
     ("comm_products", 192), ("bilinear_image", 96)],
)  # fmt: skip
def test_widths_are_those_of_two_sides_and_their_products(name, features, load, fitted, pairs):
    joint = load(name).transform(fitted(name), pairs.image, pairs.expression)
    assert joint.shape[1] == features
    k = read_section(f"models.{name}").get("components", 64)
    assert np.abs(joint[:, : 2 * k].mean(axis=0)).max() < 1e-4
    np.testing.assert_allclose(joint[:, : 2 * k].std(axis=0), 1, atol=2e-3)
    first, second, products = np.split(joint, [k, 2 * k], axis=1)
    if name == "bilinear_full":
        expected = np.einsum("ni,nj->nij", first, second).reshape(len(joint), -1)
    else:
        expected = first * second
    np.testing.assert_allclose(products, expected, atol=1e-5)


def test_elementwise_products_pair_features_of_equal_index():
    first, second = (np.array([row], np.float32) for row in ([1, 2], [3, 5]))
    assert with_products(first, second).tolist() == [[1, 2, 3, 5, 3, 10]]
    full = with_products(first, second, all_products=True)
    assert full.tolist() == [[1, 2, 3, 5, 3, 5, 6, 10]]


def test_sides_span_the_canonical_variates_of_cca_and_the_principal_axes_of_pca(
    load, fitted, pairs
):
    solution = solve(covariances(pairs.image, pairs.expression), 10.0, 32)
    expected = {
        "bilinear": pairs.image @ solution.image,
        "pca_products": pairs.image @ principal_axes(pairs.image, 32),
    }
    for name, side in expected.items():
        joint = load(name).transform(fitted(name), pairs.image, pairs.expression)
        scaled = (side - side.mean(axis=0)) / side.std(axis=0)
        np.testing.assert_allclose(joint[:, :32], scaled, atol=2e-3)


def test_comm_products_is_trained_as_comm_and_shows_each_side_alone(load, fitted, pairs):
    of_comm, weights = fitted("comm"), dict(fitted("comm_products"))
    assert {name: weights.pop(name).shape for name in ("mean", "scale")} == {
        "mean": (128,), "scale": (128,)
    }  # fmt: skip
    assert weights.keys() == of_comm.keys()
    assert all(weights[name].tobytes() == of_comm[name].tobytes() for name in weights)
    method = load("comm_products")
    joint = method.transform(fitted("comm_products"), pairs.image, pairs.expression)
    moved = method.transform(fitted("comm_products"), pairs.image, pairs.expression + 1)
    assert (joint[:, :64] == moved[:, :64]).all()
    assert (joint[:, 64:] != moved[:, 64:]).mean() > 0.9


@pytest.mark.parametrize(
    "name", ["bilinear", "bilinear_full", "pca_products", "random_products", "bilinear_image"]
)
def test_more_components_than_features_are_refused_with_the_number_allowed(
    name, load, pairs, context, fit_one
):
    narrow = Pairs(pairs.image[:, :7], pairs.expression[:, :9], pairs.donor)
    with pytest.raises(ConfigError, match=rf"models\.{name}\.components: \d+, the data allow 7"):
        fit_one(load(name), narrow, context)


def test_the_values_of_comm_products_are_those_of_comm():
    assert read_section("models.comm_products") == read_section("models.comm")
