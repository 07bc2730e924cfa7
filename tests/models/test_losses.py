"""Every loss against public implementations' numbers, and invariances that every loss has."""

import copy
import json
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from torch import Tensor
from torch.nn.functional import normalize

from cell_synergy import models
from cell_synergy.models.barlowtwins import barlow_twins
from cell_synergy.models.byol import byol
from cell_synergy.models.comm import comm_loss
from cell_synergy.models.dim import candidate_cross_entropy, infonce, jensen_shannon
from cell_synergy.models.simsiam import simsiam
from cell_synergy.models.vicreg import vicreg
from cell_synergy.training.loop import Trained
from cell_synergy.training.losses import negative_cosine, nt_xent
from cell_synergy.training.modules import TwoTower
from cell_synergy.training.replicas import Replicas

GOLDEN = Path(__file__).parents[1] / "golden"
ROWS = json.loads((GOLDEN / "ssl_losses.json").read_text())["rows"]
COMM_PARTS = [f"aug{view}_{part}" for view in (1, 2) for part in ("m1", "m2", "fused")]


def clip(z1, z2, temperature):
    """InfoNCE whose critic is the cosine over a temperature: other modality's negatives only."""
    return infonce(normalize(z1, dim=1) / temperature, normalize(z2, dim=1))


def both_with_gradients(z1, z2):
    """Minus the cosine where both inputs receive gradients, each that of its own prediction."""
    whole = negative_cosine(z1, z2) + negative_cosine(z2, z1)
    return whole - negative_cosine(z1, z2).detach()


def doubled(z1, z2, sim, var, cov):
    """Sum the variance terms of the views, as the paper does: our weight, twice."""
    return vicreg(z1, z2, sim, 2 * var, cov)


def with_a_fixed_candidate(z1, z2):
    """One direction of InfoNCE with the authors' further candidate, of score -10."""
    scores = z2 @ z1.T
    return candidate_cross_entropy(torch.cat([scores, torch.full_like(scores[:, :1], -10)], dim=1))


def one_term(part, *z, temperature):
    """CoMM's term of one modality: computed by subtracting the term of the fusion."""
    both = comm_loss([z[part], z[2]], [z[3 + part], z[5]], temperature)
    return 2 * both - comm_loss([z[2]], [z[5]], temperature)


def all_terms(*z, temperature):
    return comm_loss(list(z[:3]), list(z[3:]), temperature)


OURS: dict[str, Callable[..., Tensor]] = {
    "ntxent": nt_xent,
    "clip_symmetric_infonce": clip,
    "neg_cosine": both_with_gradients,
    "simsiam": negative_cosine,
    "simsiam_symmetric": lambda z1, z2: simsiam(z1, z2, z1, z2),
    "byol": byol,
    "barlow": barlow_twins,
    "vicreg": vicreg,
    "vicreg_solo": doubled,
    "dim_jsd": jensen_shannon,
    "dim_infonce": with_a_fixed_candidate,
    "comm": all_terms,
    "comm_ssl_loss_0": partial(one_term, 0),
    "comm_ssl_loss_1": partial(one_term, 1),
    "comm_ssl_loss_2": partial(one_term, 2),
}
NOT_OURS = {
    "dcl": "decoupled: the positive is missing from the denominator",
    "dim_dv": "the peer's code fails, the rows hold no numbers; a bound that is not offered",
    "cca_sumsq": "the sum of squared canonical correlations, not the trace norm",
    "cca_trace": "the square root is taken element by element; not the trace norm",
    "cca_trace_topk": "adds 0.001 under each root and keeps the largest; not the trace norm",
    "cca_reference_closed_form": "the trace norm: tested in test_dcca.py",
}
NAMES = {"lamb": "redundancy", "lambda_param": "redundancy"}
VICREG = {"lambda_param": "invariance", "mu_param": "variance", "nu_param": "covariance"}
SETTINGS_OF_A_PEER = {"scale_loss", "eps", "measure", "prototype"}


def settings(row):
    names = VICREG if row["loss"] == "vicreg" else NAMES
    return {names.get(k, k): v for k, v in row["hyper"].items() if k not in SETTINGS_OF_A_PEER}


@cache
def inputs(case):
    """Return the arrays of a case, which many rows share."""
    parts = COMM_PARTS if case.startswith("comm") else ["z1", "z2"]
    with np.load(GOLDEN / "ssl_losses.npz") as file:
        return [file[f"{case}__{part}"] for part in parts]


def gradients(row, dtype):
    """Return a row's loss by our code, its gradients' norms and the first three entries."""
    z = [torch.tensor(array, dtype=dtype, requires_grad=True) for array in inputs(row["case"])]
    loss = OURS[row["loss"]](*z, **settings(row))
    loss.backward()
    norms = [0.0 if x.grad is None else x.grad.norm().item() for x in z]
    first = [0.0] * 3 if z[0].grad is None else z[0].grad.flatten()[:3].tolist()
    return loss.item(), norms + first


def published(row):
    """Return the peer's gradients; an input that takes none has 0."""
    numbers = row["grad_norms_f64"] + (row["grad0_first3_f64"] or [0.0] * 3)
    return [number or 0.0 for number in numbers]


def label(row):
    return f"{row['loss']}-{row['peer'].split()[0]}-{row['case']}-{list(row['hyper'].values())}"


TESTED = [row for row in ROWS if row["loss"] in OURS]
exactly = partial(pytest.approx, rel=1e-9, abs=1e-12)
roughly = partial(pytest.approx, rel=1e-4, abs=1e-7)


def test_every_row_is_tested_or_its_reason_is_given():
    assert not OURS.keys() & NOT_OURS.keys()
    assert {row["loss"] for row in ROWS} == OURS.keys() | NOT_OURS.keys()
    assert len(TESTED) == 200


@pytest.mark.parametrize("row", TESTED, ids=label)
def test_losses_and_gradients_equal_the_published_ones(row):
    equal = roughly if "float32 only" in row["note"] else exactly
    loss, computed = gradients(row, torch.float64)
    assert loss == equal(row["f64"])
    assert computed == equal(published(row))


@pytest.mark.parametrize("row", TESTED, ids=label)
def test_single_precision_is_enough_even_where_the_peers_overflows(row):
    loss, computed = gradients(row, torch.float32)
    assert loss == roughly(row["f64"] if row["f32"] is None else row["f32"])
    assert computed == roughly(published(row))


BLOCKS = YAML(typ="safe").load(Path(__file__).parents[2] / "params.yaml")["models"]
LOADED = {name: models.load(name, BLOCKS[name]) for name in models.names()}
LOADED["dim, infonce"] = models.load("dim", BLOCKS["dim"] | {"bound": "infonce"})
METHODS = {name: method for name, method in LOADED.items() if isinstance(method, Trained)}
CROSS_MODAL = [name for name, m in METHODS.items() if isinstance(m.network(8, 8), TwoTower)]
N_OBS, D1, D2 = 24, 12, 10


def batches(n_fits, d2=D2):
    """Two views of a batch for each of several fits; the modalities share part of the variance."""
    rng = torch.Generator().manual_seed(0)
    shared = torch.randn(2, n_fits, N_OBS, 3, generator=rng)
    image, expression = (
        shared @ torch.randn(3, d, generator=rng) + torch.randn(2, n_fits, N_OBS, d, generator=rng)
        for d in (D1, d2)
    )
    return list(zip(image, expression, strict=True))


def network(name, seed=0, d2=D2):
    torch.manual_seed(seed)
    return METHODS[name].network(D1, d2)


@pytest.mark.parametrize("name", METHODS)
def test_replicas_have_the_losses_of_single_networks(name):
    views = batches(3)
    networks = [network(name, seed) for seed in range(3)]
    alone = [
        copy.deepcopy(net)(
            [(image[index], expression[index]) for image, expression in views]
        ).item()
        for index, net in enumerate(networks)
    ]
    stacked = Replicas(networks).losses(views, training=True)
    assert len(set(alone)) == 3
    assert stacked.tolist() == pytest.approx(alone, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_losses_stay_in_single_precision_where_networks_are_halved(name):
    views = batches(2)
    replicas = Replicas([network(name, seed) for seed in range(2)])
    whole = replicas.losses(views, training=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = replicas.losses(views, training=True)
    assert half.dtype == torch.float32
    assert half.tolist() != whole.tolist()
    assert half.tolist() == pytest.approx(whole.tolist(), rel=0.05, abs=0.05)


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_a_batch_does_not_matter_but_the_pairing_does(name):
    views = [(image[0].double(), expression[0].double()) for image, expression in batches(1)]
    net = network(name).double()
    order = torch.randperm(N_OBS, generator=torch.Generator().manual_seed(1))
    loss = net(views).item()
    moved = net([(image[order], expression[order]) for image, expression in views]).item()
    assert moved == pytest.approx(loss, rel=1e-9)
    broken = net([(image[order], expression) for image, expression in views]).item()
    assert broken != pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("name", CROSS_MODAL)
def test_swapping_the_modalities_changes_nothing(name):
    ((image, expression), _) = batches(1, d2=D1)
    net = network(name, d2=D1)
    other = copy.deepcopy(net)
    swapped = {
        re.sub(r"(encoders|projectors|predictors)\.([01])", mirrored, key): value
        for key, value in net.state_dict().items()
    }
    other.load_state_dict(swapped)
    assert other([(expression[0], image[0])]).item() == pytest.approx(
        net([(image[0], expression[0])]).item(), rel=1e-5
    )


def mirrored(match):
    return f"{match[1]}.{1 - int(match[2])}"


@pytest.mark.parametrize("name", CROSS_MODAL)
def test_each_half_of_the_joint_embedding_is_one_modality(name):
    (inputs, _) = batches(1)
    net = network(name).eval()
    for changed in (0, 1):
        other = [x[0].clone() for x in inputs]
        other[changed] += 1
        with torch.inference_mode():
            before = net.joint((inputs[0][0], inputs[1][0])).chunk(2, dim=1)
            after = net.joint((other[0], other[1])).chunk(2, dim=1)
        assert torch.equal(before[1 - changed], after[1 - changed])
        assert ((before[changed] - after[changed]).abs().amax(dim=1) > 1e-4).all()
