import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.config import validate
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.data.classes import ClassRule
from cell_synergy.downstream.spatial import __main__ as command
from cell_synergy.downstream.spatial.user_sections import (
    UserSectionsConfig,
    _shares,
    spatial_dataset,
)
from cell_synergy.downstream.user_table import read_table

RULE = ClassRule(class_units=10, class_donors=2)


@pytest.fixture
def table(units):
    """The tiny data set as somebody's own, with sections of the same name in every donor."""
    shown = np.eye(3)[units.obs["region"].cat.codes]
    random = np.random.default_rng(0)
    obs = pd.DataFrame({"who": units.obs["donor"].astype(str), "slide": "1"})
    obs["what"] = units.obs["region"].astype(str)
    mine = ad.AnnData(np.zeros((len(obs), 0), dtype=np.float32), obs=obs)
    mine.obsm["img"] = shown + 0.5 * random.standard_normal(shown.shape)
    mine.obsm["gex"] = random.standard_normal((len(obs), 4))
    mine.obsm["types"] = units.obsm["cell_type_ratio"].to_numpy()
    mine.obsm["spatial"] = units.obsm["spatial"]
    return mine


@pytest.fixture
def words(table, tmp_path):
    """Write the table after `change`; return the words that judge it."""

    def made(change=None, **more):
        if change:
            change(table)
        table.write_h5ad(tmp_path / "mine.h5ad")
        usual = {
            "units": str(tmp_path / "mine.h5ad"), "image": "img", "expression": "gex",
            "label": ["what"], "donor": "who", "section": "slide", "unit_um": 100,
            "out": str(tmp_path / "new" / "space.csv"),
        }  # fmt: skip
        return usual | more

    return made


@pytest.mark.slow
def test_the_command_writes_curves_and_scores(words, tmp_path, capsys):
    command.main([f"{key}={value}" for key, value in words(composition="types").items()])
    assert "written: " in capsys.readouterr().out
    curves = pd.read_csv(tmp_path / "new" / "space.csv")
    assert set(curves["method"]) == {"concat"}
    assert set(curves["target"]) == {"what", "composition", "consistency"}
    scores = pd.read_csv(tmp_path / "new" / "space-scores.csv")
    assert set(scores["method"]) == {"image", "expression", "concat"}
    first = scores[scores["task"] == "neighbours what 1"]
    assert first["neighbours"].between(7, 9).all()  # sections of four donors are four sections


def lost(table):
    del table.obsm["spatial"]


def beyond(table):
    table.obsm["spatial"][3, 0] = np.nan


def column(name, values):
    def change(table):
        table.obs[name] = values

    return change


def types(values):
    def change(table):
        table.obsm["types"] = values(table.obsm["types"])

    return change


@pytest.mark.parametrize(
    ("change", "more", "error", "message"),
    [
        (
            column("slide", ["nan", *"1" * 159]),
            {},
            DataError,
            r"obs\['slide'\]: the section is missing for 1 of 160 rows, first 'u0'; name it",
        ),
        (column("slide", [*"1" * 158, "s", "S"]), {}, DataError, "'S' and 's' differ in blanks"),
        (
            None,
            {"estimator": ["my:probe"]},
            DataError,
            "estimator: scores over space have the study",
        ),
        (None, {"label": ["slide"]}, DataError, "label=slide is also the section, which all neigh"),
        (None, {"label": ["who"]}, DataError, "label=who is also the donor"),
        (
            column("consistency", "a"),
            {"label": ["consistency"]},
            DataError,
            "label=consistency: this name is taken; rename the column of obs",
        ),
        (
            column("composition", "a"),
            {"label": ["composition"], "composition": "types"},
            DataError,
            "label=composition: this name is taken",
        ),
        (
            types(lambda x: 100 * x),
            {"composition": "types"},
            DataError,
            r"obsm\['types'\]: the shares of 160 of 160 observations are percentages.*; divide by",
        ),
        (types(lambda x: x[:, :1] ** 0), {"composition": "types"}, DataError, "has one cell type"),
        (
            types(lambda x: x * np.nan),
            {"composition": "types"},
            DataError,
            "no share of any observation",
        ),
        (types(lambda x: x.astype(str)), {"composition": "types"}, DataError, "holds text and no"),
        (
            None,
            {"mpp": 0.31},
            DataError,
            "observations of 100 um lie 2.* apart .median., which cannot be",
        ),
        (
            lost,
            {},
            DataError,
            "no obsm.'spatial'.; store the coordinates of each observation there",
        ),
        (
            beyond,
            {},
            DataError,
            "not finite for 1 observations, first 'u3'; drop these observations",
        ),
        (None, {"mpp": 20}, DataError, "section 'A/1': observations of 100 um lie .* micrometres"),
        (None, {"section": "slice"}, DataError, "no obs.'slice'. .did you mean 'slide'"),
        (None, {"composition": "type"}, DataError, "no obsm.'type'. .did you mean 'types'"),
        (None, {"unit_um": 0}, ConfigError, "argument.unit_um: Input should be greater than 0"),
    ],
)
def test_faults_of_a_users_sections_are_named(words, change, more, error, message):
    with pytest.raises(error, match=message):
        command.run(validate(UserSectionsConfig, words(change, **more), "argument"))


def read(words):
    own = validate(UserSectionsConfig, words, "argument")
    return own, read_table(own.units, {own.image, own.expression, "types"})


def test_sections_are_apart_for_each_donor_and_spelt_in_one_way(words):
    own, found = read(words(column("slide", [" 1", "1.0"] * 80)))
    paired = spatial_dataset(own, found, RULE)
    assert sorted(set(paired.adata.obs["section"])) == ["A/1", "B/1", "C/1", "D/1"]


def test_strokes_in_names_do_not_join_sections_of_two_donors(words):
    def change(table):
        table.obs["who"] = np.repeat(["a/b", "a", "C", "D"], 40)
        table.obs["slide"] = np.repeat(["c", "b/c", "1", "1"], 40)

    own, found = read(words(change))
    paired = spatial_dataset(own, found, RULE)
    assert paired.adata.obs.groupby("section")["donor"].nunique().to_list() == [1, 1, 1, 1]


def test_places_and_shares_of_a_data_frame_are_found_by_name(words, table):
    places = table.obsm["spatial"].copy()
    shares = table.obsm["types"].copy()

    def change(table):
        names = table.obs_names
        table.obsm["spatial"] = pd.DataFrame(places[:, ::-1], names, ["y", "x"])
        table.obsm["types"] = pd.DataFrame(shares, names, ["T", "B", "C"])

    own, found = read(words(change, composition="types"))
    np.testing.assert_array_equal(spatial_dataset(own, found, RULE).adata.obsm["spatial"], places)
    np.testing.assert_array_equal(_shares(own, found), shares)


def test_without_words_it_says_how(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main([])
    assert caught.value.code == 2
    assert "unit_um=55" in capsys.readouterr().err
