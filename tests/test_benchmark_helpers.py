"""Numbers of rendered tables, and the parameters of a copied study."""

import math

import pytest
from ruamel.yaml import YAML

from benchmarks import _markdown as markdown
from benchmarks import readme
from benchmarks._study_copy import change_params
from cell_synergy import models
from cell_synergy.core.errors import DataError
from cell_synergy.core.names import UNIMODAL


@pytest.mark.parametrize(
    ("value", "text"),
    [(40.5, "40.50"), (0.5, ".50"), (-0.25, "-.25"), (-0.001, ".00"), (10.04, "10.04"),
     (math.nan, "")],
)  # fmt: skip
def test_only_the_zero_before_the_point_is_left_out(value, text):
    assert markdown.number(value) == text


def test_the_table_of_gains_has_every_method_once():
    assert sorted(readme.METHODS) == sorted({*models.names()} - {*UNIMODAL})


def test_a_mark_that_names_no_table_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="<!-- null studies --> is no table"):
        readme.rendered("<!-- null studies -->\n\n<!-- /null studies -->", tmp_path)


def test_parameters_are_changed_and_others_stay(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("align:\n  axes: 64\n  seed: 0\ndatasets:\n- lung\n")
    change_params(path, {"align.axes": "none", "datasets": ["breast"]})
    assert YAML(typ="safe").load(path) == {
        "align": {"axes": "none", "seed": 0}, "datasets": ["breast"],
    }  # fmt: skip


@pytest.mark.parametrize("key", ["align.axis", "model", "align.axes.width"])
def test_a_parameter_that_the_study_lacks_is_not_added(tmp_path, key):
    path = tmp_path / "params.yaml"
    path.write_text("align: {axes: 64}\n")
    with pytest.raises(DataError, match=f"params.yaml has no '{key}'"):
        change_params(path, {key: 1})
