import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.downstream.spatial import __main__ as command
from cell_synergy.downstream.spatial.own import run


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
            "label": "what", "donor": "who", "section": "slide", "unit_um": 100,
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


@pytest.mark.parametrize(
    ("change", "more", "error", "message"),
    [
        (lost, {}, DataError, "no obsm.'spatial'.; store each unit's place there"),
        (beyond, {}, DataError, "not finite for 1 units, first 'u3'; drop these units"),
        (None, {"mpp": 20}, DataError, "section 'A/1': units of 100 um lie .* micrometres"),
        (None, {"section": "slice"}, DataError, "no obs.'slice'. .did you mean 'slide'"),
        (None, {"composition": "type"}, DataError, "no obsm.'type'. .did you mean 'types'"),
        (None, {"unit_um": 0}, ConfigError, "argument.unit_um: Input should be greater than 0"),
    ],
)
def test_what_is_missing_is_named(words, change, more, error, message):
    with pytest.raises(error, match=message):
        run(words(change, **more))


def test_without_words_it_says_how(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main([])
    assert caught.value.code == 2
    assert "unit_um=55" in capsys.readouterr().err
