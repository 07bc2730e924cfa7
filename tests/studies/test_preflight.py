"""What params.yaml names and nobody has is answered before anything is computed."""

from copy import deepcopy
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cell_synergy.core.errors import ConfigError
from cell_synergy.studies import check_params

PARAMS = YAML(typ="safe").load(Path(__file__).parents[2] / "params.yaml")
MINE = {
    "source": {"kind": "folder", "folder": "sections"}, "reader": "h5ad", "unit_um": 100.0,
    "standardise": "donor", "split": "leave-one-donor-out",
    "tasks": {"histology": {"kind": "classification"}},
    "roles": {"reference": ["P4"], "study": ["P1", "P2", "P3"]},
}  # fmt: skip


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Return a function that checks the study's parameters, with a change made to them."""

    def checked(change):
        params = deepcopy(PARAMS)
        change(params)
        with (tmp_path / "params.yaml").open("w") as file:
            YAML().dump(params, file)
        monkeypatch.chdir(tmp_path)
        check_params.check()

    return checked


def own(params):
    """Make it a study of one's own tissue: its data set alone, under its own label."""
    params["data"]["mine"] = MINE
    params["datasets"] = params["scaling"]["datasets"] = ["mine"]


def fewer(params):
    own(params)
    kept = ("concat", "image", "expression", "comm")
    params["models"] = {name: params["models"][name] for name in kept}


def no_comm(params):
    own(params)
    del params["models"]["comm"]
    params["method"] = "simclr"


def untrained(params):
    own(params)
    params["method"] = "concat"


@pytest.mark.parametrize("change", [dict, own, fewer, no_comm, untrained])
def test_a_study_of_fewer_methods_or_other_tasks_is_no_mistake(check, change, capsys):
    check(change)
    assert capsys.readouterr().out == ""


WRONG = {
    "method": ("comn", r"method: 'comn' is no fusion method of `models` \(did you mean 'comm'"),
    "datasets": (["lungs"], r"datasets: no 'lungs' \(did you mean 'lung'"),
    "experts.image": ("efficientnet", r"experts\.image: .* \(did you mean 'efficientnet_lite0'"),
    "circular.her2st": (["compositon"], r"circular\.her2st: .* \(did you mean 'composition'"),
    "spatial.targets": (
        ["regions", "layer"],
        r"spatial\.targets: no data set has a task 'regions'",
    ),
    "scaling.tasks": (["cell_typ"], r"scaling\.tasks: .* 'cell_typ' \(did you mean 'cell_type'"),
    "claims.local": (["cell_type", "laier"], r"claims\.local: .* 'laier' \(did you mean 'layer'"),
    "claims.niches": (["nich"], r"claims\.niches: .* 'nich' \(did you mean 'niche'"),
    "claims.negative_controls": (
        ["nich"],
        r"claims\.negative_controls: .* 'nich' \(did you mean 'niche'",
    ),
    "finetune.tasks": (["regoin"], r"finetune\.tasks: .* 'regoin' \(did you mean 'region'"),
    "claims.aligned": (
        ["cca", "simclear"],
        r"claims\.aligned: no 'simclear' \(did you mean 'simclr'",
    ),
    "claims.synergy_aware": ("com", r"claims\.synergy_aware: no 'com' \(did you mean 'comm'"),
    "limits.power": (80, r"limits\.power: Input should be less than 1, got 80"),
    "reach.tasks": (["matched_nich"], r"reach\.tasks: no data set has a task 'matched_nich'"),
    "claims.zero": (-0.1, r"claims\.zero: Input should be greater than or equal to 0"),
}


@pytest.mark.parametrize("key", WRONG)
def test_wrong_values_are_refused_with_a_remedy(check, key):
    wrong, said = WRONG[key]

    def change(params):
        *above, last = key.split(".")
        place = params[above[0]] if above else params
        place[last] = wrong

    with pytest.raises(ConfigError, match=said):
        check(change)


@pytest.mark.parametrize("scaled", [["her2st"], ["lung", "mob"], [], "lung"])
def test_the_scaling_study_is_of_data_sets_of_the_study_one_at_least(check, scaled):
    def change(params):
        params["scaling"]["datasets"] = scaled

    with pytest.raises(ConfigError, match=r"scaling\.datasets: .* 'scaling\.datasets=\[lung\]'"):
        check(change)


@pytest.mark.parametrize("name", ["image", "expression", "concat"])
def test_the_baselines_of_all_comparisons_are_required(check, name):
    with pytest.raises(ConfigError, match=f"models: no '{name}', with which all others"):
        check(lambda params: params["models"].pop(name))


@pytest.mark.parametrize(
    ("methods", "said"),
    [(None, "trifeature has no 'methods'"), ("comm", "'trifeature.methods' is 'comm'")],
)
def test_trifeature_needs_a_block_of_methods(check, methods, said):
    def change(params):
        del params["trifeature"]["methods"]
        if methods is not None:
            params["trifeature"]["methods"] = methods

    with pytest.raises(ConfigError, match=said):
        check(change)


def test_every_mistake_is_told_at_once(check):
    def change(params):
        params["method"] = "byoll"
        params["datasets"] = ["lung", "brest"]

    with pytest.raises(ConfigError, match=r"'byoll'.*\n.*'brest' \(did you mean 'breast'"):
        check(change)


def test_lists_that_lost_their_data_sets_are_a_line(check, capsys):
    def change(params):
        own(params)
        params["data"] = {"mine": MINE}

    check(change)
    said = capsys.readouterr().out
    assert "spatial.targets: no data set has a task 'cell_type'; valid: histology" in said
