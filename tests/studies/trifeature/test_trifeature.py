"""Trifeature: what is drawn, from which stream, and what the stage writes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from cell_synergy import models
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.random import stream
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.trifeature.trifeature_scores import fit_and_embed, score_method
from cell_synergy.studies.trifeature.world import (
    COLOUR,
    SHAPE,
    TEST,
    TEXTURE,
    TrifeatureConfig,
    TrifeatureWorld,
)
from stages.trifeature import Args, main

PARAMS = YAML(typ="safe").load(Path(__file__).parents[3] / "params.yaml")
TINY = {
    "seed": 0, "seeds": 1, "image_width": 24, "expression_width": 16, "noise": 1.0, "pairs": 300,
    "probe_pairs": 600, "max_epochs": 2, "axes": 12,
}  # fmt: skip
SMALL_MLP = PARAMS["probe"]["mlp"] | {"hidden": 4, "axes": 8, "epochs": 2}
KINDS = pytest.mark.parametrize("kind", ["any", "matching"])


def make(seed=0, **changed):
    return TrifeatureWorld.make(TrifeatureConfig(**TINY | changed), 3, seed)


@pytest.fixture(scope="module")
def world():
    return make()


def drawn(world, kind, count=8000):
    """Return the values of the training pairs' items."""
    match = True if kind == "matching" else None
    items = world.draw(world.part != TEST, match, count, "training", kind)
    return items, world.triplets[items[:, 0]], world.triplets[items[:, 1]]


def dependence(a, b):
    """Return Cramer's V of two attributes: 0 if independent, 1 if one gives the other."""
    counts = np.histogram2d(a, b, bins=10)[0]
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    return np.sqrt(((counts - expected) ** 2 / expected).sum() / counts.sum() / 9)


def test_every_triplet_has_three_items_in_one_part(world):
    triplets, counts = np.unique(world.triplets, axis=0, return_counts=True)
    assert len(triplets) == 1000
    assert set(counts) == {3}
    placed = np.unique(np.column_stack([world.triplets, world.part]), axis=0)
    assert len(placed) == 1000
    assert np.bincount(placed[:, 3] + 1).tolist() == [200, 267, 267, 266]


def test_embeddings_are_codes_and_noise_standardised_by_training_items(world):
    for x in (world.image, world.expression):
        training = x[world.part != TEST]
        assert np.allclose(training.mean(axis=0), 0, atol=1e-5)
        assert np.allclose(training.std(axis=0), 1, atol=1e-5)
    draws = make(noise=0.0).image.reshape(1000, 3, -1)
    assert (draws == draws[:, :1]).all()
    # Ten codes vary by 9/10, of which a texture has a third; noise varies by 1.
    wide = make(image_width=2000).image.reshape(1000, 3, -1)
    assert np.mean(wide[:, 0] * wide[:, 1]) == pytest.approx(0.9 / 1.9, abs=0.02)
    a, b = make(noise=0.0, image_width=2000).image[[0, 3]]
    assert np.mean((a - b) ** 2) == pytest.approx(2 / 3 / 0.9, abs=0.15)


@KINDS
def test_training_pairs_share_their_shape_and_no_triplet_with_the_test(world, kind):
    items, first, second = drawn(world, kind)
    assert (first[:, SHAPE] == second[:, SHAPE]).all()
    assert (world.part[items] != TEST).all()
    assert len(np.unique(items, axis=0)) == len(items)
    assert dependence(first[:, SHAPE], first[:, TEXTURE]) < 0.12
    assert dependence(first[:, TEXTURE], second[:, TEXTURE]) < 0.12


def test_only_matching_pairs_match(world):
    _, first, second = drawn(world, "matching")
    assert (world.matching[first[:, TEXTURE]] == second[:, COLOUR]).all()
    assert dependence(first[:, TEXTURE], second[:, COLOUR]) == pytest.approx(1)
    _, first, second = drawn(world, "any")
    assert dependence(first[:, TEXTURE], second[:, COLOUR]) < 0.12
    assert sorted(world.matching) == list(range(10))


@KINDS
def test_probe_pairs_lie_in_one_part_and_share_their_shape(world, kind):
    items = world.probe_pairs(kind, 600)
    part = world.part[items]
    assert (part[:, 0] == part[:, 1]).all()
    assert np.bincount(part[:, 0] + 1).tolist() == [600, 200, 200, 200]
    shape = world.triplets[items][..., SHAPE]
    assert (shape[:, 0] == shape[:, 1]).all()
    match = world.label("synergy", items)
    rates = [match[part[:, 0] == k].mean() for k in range(-1, 3)]
    assert all(r == 0.5 if kind == "matching" else r < 0.2 for r in rates)


def test_neither_side_alone_tells_the_synergy(world):
    items = world.probe_pairs("matching", 6000)
    match = world.label("synergy", items)
    for side in (0, 1):
        for attribute in (SHAPE, COLOUR, TEXTURE):
            rates = np.bincount(world.triplets[items[:, side], attribute], match) / np.bincount(
                world.triplets[items[:, side], attribute]
            )
            assert np.abs(rates - 0.5).max() < 0.15


def test_labels_are_what_the_tasks_say(world):
    items = np.array([[5, 7], [2999, 0]])
    names = {"redundancy": (0, SHAPE), "unique_image": (0, TEXTURE), "unique_expression": (1, 2)}
    for task, (side, attribute) in names.items():
        expected = world.triplets[items[:, side], attribute]
        assert world.label(task, items).tolist() == expected.tolist()
    pair = items[0]
    colour = world.matching[world.triplets[pair[0], TEXTURE]]
    assert world.label("synergy", items)[0] == (world.triplets[pair[1], COLOUR] == colour)


CONTENT = {
    "split": lambda w: w.part,
    "matching": lambda w: w.matching,
    "image": lambda w: w.image[0],
    "expression": lambda w: w.expression[0],
    "pairs": lambda w: w.draw(w.triplets[:, 0] >= 0, None, 50, "probe"),
}


@pytest.mark.parametrize(
    ("purpose", "changed"),
    [
        (("matching",), {"matching"}),
        (("codes", "image"), {"image"}),
        (("noise", "image"), {"image"}),
        (("codes", "expression"), {"expression"}),
        (("noise", "expression"), {"expression"}),
        (("pairs", "probe"), {"pairs"}),
    ],
)
def test_another_draw_for_one_purpose_leaves_all_others_alone(monkeypatch, world, purpose, changed):
    def other(seed, *words):
        return stream(seed + 99 * (words == ("trifeature", *purpose)), *words)

    before = {k: get(world) for k, get in CONTENT.items()}
    monkeypatch.setattr("cell_synergy.studies.trifeature.world.stream", other)
    after = make()
    assert {k for k in CONTENT if not np.array_equal(before[k], CONTENT[k](after))} == changed


def test_another_seed_changes_every_draw(world):
    new = make(seed=1)
    assert not [k for k, get in CONTENT.items() if np.array_equal(get(world), get(new))]


def test_too_many_pairs_are_refused_with_the_number_there_are(world):
    with pytest.raises(ConfigError, match=r"set trifeature\.pairs or .*probe_pairs lower"):
        world.probe_pairs("matching", 10**5)


def test_concat_keeps_redundancy_and_uniqueness_and_no_linear_synergy():
    wide = {"noise": 0.01, "probe_pairs": 1500, "image_width": 64, "axes": 64}
    settings = TrifeatureConfig(**TINY | wide)
    probe = ProbeConfig(**PARAMS["probe"] | {"mlp": SMALL_MLP})
    table = score_method("concat", models.load("concat", {}), settings, {}, probe)
    table = table[table["probe"] == "linear"]
    values = table.set_index("task")["value"]
    assert (values[["redundancy", "unique_image", "unique_expression"]] > 0.99).all()
    assert 0.4 < values["synergy"] < 0.6
    assert table["classes"].tolist() == [10, 10, 10, 2]


def test_a_method_gets_principal_axes_of_the_training_items(world):
    inputs = world.with_inputs(5)
    train = world.part != TEST
    for x, given in ((world.image, inputs.image), (world.expression, inputs.expression)):
        variances = np.linalg.eigvalsh(np.cov(x[train].T, ddof=0))[::-1]
        np.testing.assert_allclose(given[train].var(axis=0), variances[:5], rtol=1e-3)
    assert world.with_inputs(None) is world
    widths = {}
    for name, block in PARAMS["trifeature"]["methods"].items():
        if name.startswith("concat"):
            widths[name] = embedded_width(name, block, world)
    assert widths == {"concat": 24}
    assert embedded_width("concat_full", {}, world) == 24 + 16


def embedded_width(name, block, world):
    settings = TrifeatureConfig(**TINY)
    (_, _, z), _ = fit_and_embed(name, models.load(name, block), settings, {}, world)
    return z.shape[1]


@pytest.mark.parametrize(("name", "found"), [("cca", False), ("bilinear", True)])
def test_products_of_aligned_directions_make_the_synergy_linear(name, found):
    small = {"noise": 0.1, "pairs": 4000, "probe_pairs": 1500, "image_width": 64, "axes": 30}
    settings = TrifeatureConfig(**TINY | small | {"expression_width": 48})
    probe = ProbeConfig(**PARAMS["probe"] | {"mlp": SMALL_MLP})
    method = models.load(name, PARAMS["models"][name] | {"components": 20})
    table = score_method(name, method, settings, {}, probe)
    linear = table[table["probe"] == "linear"].set_index("task")["value"]
    assert linear["redundancy"] > 0.99
    assert (linear["synergy"] > 0.9) == found
    assert found or linear["synergy"] < 0.6


def test_the_checkpoint_is_of_the_arrays_that_are_trained_on(world):
    """A change of the world's code that the parameters do not show trains anew."""
    seen = []

    class Noted(type(models.load("concat", {}))):
        def fit(self, specs, context):
            seen.append(context.checkpoint)
            return super().fit(specs, context)

    settings = TrifeatureConfig(**TINY)
    other = replace(world, image=world.image + np.float32(1e-3))
    for each in (world, make(), other):
        list(fit_and_embed("concat", Noted(), settings, {}, each))
    assert seen[0] == seen[1] != seen[2]


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Run the stage on a tiny setting, in a folder of its own; return the table's text."""
    small = {"training": PARAMS["training"] | {"max_epochs": 1}, "models": {}}
    own = {"seeds": 2, "methods": PARAMS["trifeature"]["methods"]}
    small["probe"] = PARAMS["probe"] | {"mlp": SMALL_MLP, "strongest": 1.0, "strengths": 2}
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(PARAMS | small | {"trifeature": TINY | own}, file)
    monkeypatch.chdir(tmp_path)

    def wrote(name, out="results/table.csv"):
        main(Args(models={"name": name}, out=out))
        return Path(out).read_text()

    return wrote


def test_the_stage_writes_one_tidy_row_per_seed_and_task(stage):
    stage("simclr")
    table = pd.read_csv("results/table.csv")
    assert not table.duplicated(["method", "task", "probe", "metric", "seed"]).any()
    assert len(table) == 2 * 4 * 2  # seeds, tasks, probes
    assert table["value"].between(0, 1).all()
    assert table.groupby("seed")["inner"].sum().nunique() == 2
    assert set(table["n"]) == {600}


@pytest.mark.parametrize("name", ["concat", "simclr", pytest.param("comm", marks=pytest.mark.slow)])
def test_a_second_run_has_the_same_bytes(stage, name):
    assert stage(name) == stage(name, "again.csv")


def test_its_methods_are_those_of_the_study_value_for_value():
    """Written out, so that a study of other methods leaves it alone."""
    for name, own in PARAMS["trifeature"]["methods"].items():
        assert own == PARAMS["models"][name], name


def test_an_unknown_method_is_named_with_a_remedy(stage):
    with pytest.raises(ConfigError, match="did you mean 'comm'"):
        stage("com")
    assert not Path("results").exists()


def test_an_override_that_would_have_no_effect_is_refused(tmp_path, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    args = Args(models={"name": "comm", "width": "3"}, out=tmp_path / "comm.csv")
    with pytest.raises(ConfigError, match=r"models\.width: .*trifeature\.methods\.comm"):
        main(args)
    assert not args.out.exists()
