"""A table of one's own: what comes out, and what is said where something is missing."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.config import validate
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.downstream import run_benchmarks
from cell_synergy.downstream.user_table import UserTableConfig


@pytest.fixture(scope="module")
def table():
    """Seven donors; a label with a part that only the image shows and one that only genes show."""
    rng = np.random.default_rng(0)
    donor = np.repeat(list("ABCDEFG"), 40)
    seen = rng.integers(2, size=(len(donor), 2))
    obs = pd.DataFrame(
        {"who": donor, "what": pd.Categorical((2 * seen[:, 0] + seen[:, 1]).astype(str))}
    )
    obs.index = [f"u{i}" for i in range(len(donor))]
    units = ad.AnnData(np.zeros((len(donor), 0), dtype=np.float32), obs=obs)
    for place, key in enumerate(("img", "gex")):
        x = rng.standard_normal((len(donor), 5))
        x[:, 0] += 4 * seen[:, place]
        units.obsm[key] = x
    units.obsm["fused"] = np.hstack([units.obsm["img"], units.obsm["gex"]])
    return units


@pytest.fixture
def judged(table, tmp_path):
    """Judge the table after `change`, with words over the usual ones."""

    def run_with(change=None, **words):
        units = table.copy()
        if change:
            change(units)
        units.write_h5ad(tmp_path / "mine.h5ad")
        usual: dict[str, object] = {
            "units": str(tmp_path / "mine.h5ad"),
            "image": "img",
            "expression": "gex",
        }
        usual |= {"label": ["what"], "donor": "who", "out": str(tmp_path / "new" / "sis.csv")}
        config = validate(UserTableConfig, usual | words, "argument")
        run_benchmarks.run_on_table(config)
        return pd.read_csv(config.out, keep_default_na=False, na_values={"sis": ""})

    return run_with


@pytest.mark.slow
def test_joining_what_each_side_shows_alone_has_a_clear_sis(judged, tmp_path, capsys):
    sis = judged(empty_and_rare, joint=["fused"])
    assert "dropped rare (under 10 observations in 2 donors)" in capsys.readouterr().out
    assert set(sis["method"]) == {"concat", "fused"}
    rows = sis[(sis["probe"] == "linear") & (sis["fold"] == "all")].set_index("metric")
    assert (rows.loc["macro_f1", "sis"].astype(float) > 0.5).all()
    assert (rows.loc["macro_f1", "low"].astype(float) > 0.3).all()
    assert (rows.loc["macro_f1", "p_corrected"] == "").all()
    assert (rows.loc["bits", "gain_low"].astype(float) > 0.1).all()
    assert (rows.loc["bits", "p_corrected"].astype(float) < 0.02).all()
    assert {"linear", "mlp", "late fusion"} <= set(sis["probe"])
    bits = pd.read_csv(tmp_path / "new" / "sis-information.csv")
    pair = bits[bits["method"] == "pair"].set_index("quantity")["bits"]
    assert pair["I_joint"] > pair["I_image"] + 0.5
    scores = pd.read_csv(tmp_path / "new" / "sis-scores.csv")
    assert set(scores["method"]) == {"image", "expression", "concat", "fused"}
    labelled = scores[scores["task"] == "what"].groupby("donor")["n"].first()
    assert labelled.to_dict() == dict.fromkeys("CDEFG", 40) | {"A": 35, "B": 37}


def empty_and_rare(units):
    """Leave the first donor's first labels empty, and make some of the second's rare."""
    what = units.obs["what"].astype(str).to_numpy(dtype=object)
    what[:5], what[40:43] = "", "rare"
    units.obs["what"] = what


def named(key):
    """Store the fused embedding under a name that the tables of scores use."""

    def change(units):
        units.obsm[key] = units.obsm["fused"]

    return change


def rename(units):
    units.obs["who"] = "only"


def unnamed(units):
    units.obs["who"] = units.obs["who"].astype(object)
    units.obs.iloc[3, 0] = None


def broken(units):
    units.obsm["img"][5, 2] = np.nan


def fractions(units):
    units.obs["what"] = np.linspace(0, 1, units.n_obs)


def one_class(units):
    units.obs["what"] = "same"


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        (None, {"image": "imgg"}, r"no obsm\['imgg'\] \(did you mean 'img'\?"),
        (None, {"label": ["whatt"]}, r"no obs\['whatt'\] \(did you mean 'what'\?"),
        (None, {"donor": "patient"}, r"no obs\['patient'\]"),
        (named("concat"), {"joint": ["concat"]}, "joint=concat: this name is taken"),
        (named("pca"), {"joint": ["pca"]}, "joint=pca: this name is taken"),
        (named("pair"), {"joint": ["pair"]}, "joint=pair: this name is taken"),
        (named("x_image"), {"joint": ["x_image"]}, "is a control, the method 'x' on one expert"),
        (None, {"joint": ["img"]}, "joint=img: this expert is always scored"),
        (None, {"expression": "img"}, "image=img and expression=img are the same"),
        (None, {"label": ["who"]}, "label=who is also the donor"),
        (None, {"label": ["donor"]}, "label=donor: this name is taken; rename the column"),
        (None, {"label": ["section"]}, "label=section: this name is taken"),
        (None, {"label": ["block"]}, "label=block: this name is taken"),
        (rename, {}, "has one donor, 'only'; .*two at least, and five for an interval"),
        (unnamed, {}, r"obs\['who'\]: the donor is missing for 1 of 280 rows, first 'u3'"),
        (broken, {}, r"obsm\['img'\] is not finite for 1 observations, first 'u5'; drop them"),
        (fractions, {}, r"obs\['what'\] holds fractions, not classes"),
        (one_class, {}, r"obs\['what'\]: 1 class\(es\) with 10 observations in 2 donors"),
    ],
)
def test_faults_of_a_users_table_are_named_with_a_remedy(judged, change, words, message):
    with pytest.raises(DataError, match=message):
        judged(change, **words)


def test_a_missing_or_foreign_file_is_named(tmp_path, judged):
    with pytest.raises(DataError, match=r"nowhere\.h5ad: no such file; check the path"):
        judged(units=str(tmp_path / "nowhere.h5ad"))
    (tmp_path / "text.h5ad").write_text("no table")
    with pytest.raises(DataError, match=r"text\.h5ad: is text, not an \.h5ad file"):
        judged(units=str(tmp_path / "text.h5ad"))


def test_a_word_too_many_or_missing_is_named(judged):
    with pytest.raises(ConfigError, match=r"argument\.lable: unknown parameter \(did you mean"):
        judged(lable="what")
    with pytest.raises(ConfigError, match=r"argument\.image: missing"):
        validate(UserTableConfig, {"units": "a.h5ad"}, "argument")


def test_the_public_command_reaches_it():
    with pytest.raises(SystemExit, match=r"nowhere\.h5ad: no such file"):
        run_benchmarks.main(["units=nowhere.h5ad", "image=a", "expression=b", "label=c", "donor=d"])
