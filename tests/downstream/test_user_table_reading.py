"""How one's own table is read: donors, labels and embeddings, whatever wrote them."""

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cell_synergy.core.config import validate
from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import as_labels
from cell_synergy.data.classes import ClassRule
from cell_synergy.downstream.user_table import (
    UserTableConfig,
    paired_dataset,
    read_table,
    representations,
)

RULE = ClassRule(class_units=10, class_donors=2)
COUNT = 150  # units, every fifth of a donor


@pytest.fixture
def mine():
    """Five donors of thirty units, with two classes each."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "who": [f"P{i % 5}" for i in range(COUNT)],
            "what": ["ab"[i // 5 % 2] for i in range(COUNT)],
        },
        index=[f"u{i}" for i in range(COUNT)],
    )
    table = AnnData(obs=obs)
    for key, width in (("img", 4), ("gex", 3), ("fused", 2)):
        table.obsm[key] = rng.standard_normal((COUNT, width)).astype(np.float32)
    return table


@pytest.fixture
def read(mine, tmp_path):
    """Write the table after `change`, read it as the command does."""

    def made(change=None, rewrite=None, **more):
        if change:
            change(mine)
        path = tmp_path / "mine.h5ad"
        mine.write_h5ad(path)
        if rewrite:
            with h5py.File(path, "r+") as file:
                rewrite(file)
        words = {"units": str(path), "image": "img", "expression": "gex", "joint": ["fused"]}
        own = validate(
            UserTableConfig, words | {"label": ["what"], "donor": "who"} | more, "argument"
        )
        table = read_table(own.units, {own.image, own.expression, *own.joint})
        paired = paired_dataset(own, table, RULE)
        return paired, representations(own, table, paired)

    return made


def column(name, values):
    def change(table):
        table.obs[name] = values

    return change


NUMBERS = [i % 5 for i in range(COUNT)]
SPELLINGS = {
    "P0": ["P0", "P0 ", " P0", "P0\u00a0", "\ufeffP0", "P0\u200b", "P0\t"],
    "\u00e9": ["\u00e9", "e\u0301", "\u00e9 "],
    "1": ["1", "1.0", "1 ", "1."],
    "P 0": ["P 0", "P  0", "P\u00a00", " P 0"],
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_donor_is_never_on_both_sides_of_a_fold_however_it_is_spelt(read, name):
    spelt = SPELLINGS[name]
    donors = [spelt[i % len(spelt)] if i % 3 else f"Q{i % 2}" for i in range(COUNT)]
    paired, _ = read(column("who", donors))
    assert [fold.name for fold in paired.folds] == sorted(["Q0", "Q1", name])
    plain = np.array([name if i % 3 else f"Q{i % 2}" for i in range(COUNT)])
    np.testing.assert_array_equal(paired.donor, plain)
    for fold in paired.folds:
        assert set(plain[fold.test]) == {fold.name}
        assert not set(plain[fold.test]) & (set(plain[fold.align]) | set(plain[fold.probe]))


@pytest.mark.parametrize(
    "donors",
    [
        pd.array(NUMBERS, dtype="Int64"),
        np.array(NUMBERS, dtype=float),
        pd.Categorical(np.array(NUMBERS, dtype=float)),
        [f"{i}.0" for i in NUMBERS],
        [f" {i}" for i in NUMBERS],
        pd.Categorical([f"{i}" for i in NUMBERS], categories=[*"4321059"]),
    ],
    ids=["Int64", "float", "category of floats", "text of floats", "blanks", "unused category"],
)
def test_numbers_of_donors_are_the_same_donors_however_they_were_saved(read, donors):
    paired, _ = read(column("who", donors))
    assert [fold.name for fold in paired.folds] == list("01234")
    assert paired.donor.tolist() == [str(i) for i in NUMBERS]


@pytest.mark.parametrize("other", ["P 0", "p0", "P\u00a00", "\uff300"])
def test_two_spellings_of_a_donor_are_refused(read, other):
    donors = [other if i == 7 else f"P{i % 5}" for i in range(COUNT)]
    with pytest.raises(DataError, match=r"obs\['who'\]: '.*0' and .* differ in blanks or capitals"):
        read(column("who", donors))


@pytest.mark.parametrize("missing", ["", " ", "nan", "NA", "None", "<NA>", None])
def test_a_missing_donor_is_refused_with_count_and_first_row(read, missing):
    donors = [missing if i in {3, 9} else f"P{i % 5}" for i in range(COUNT)]
    with pytest.raises(DataError, match="the donor is missing for 2 of 150 rows, first 'u3'; name"):
        read(column("who", donors))


def test_missing_labels_are_none_of_the_classes_and_are_counted(read, capsys):
    words = ["nan" if i % 12 == 0 else "ab"[i // 5 % 2] for i in range(COUNT)]
    paired, _ = read(column("what", words))
    assert paired.adata.obs["what"].cat.categories.to_list() == ["a", "b"]
    assert paired.adata.obs["what"].isna().sum() == 13
    assert (
        "obs['what']: 13 of 150 observations are left out (13 without a label)"
        in capsys.readouterr().out
    )


def test_cluster_numbers_with_gaps_are_classes(read):
    clusters = np.array([i // 5 % 2 for i in range(COUNT)], dtype=float)
    clusters[:5] = np.nan
    paired, _ = read(column("what", clusters))
    found = paired.adata.obs["what"]
    expected = as_labels(pd.Series(clusters)).to_list()
    assert found.astype(object).where(found.notna(), None).to_list() == expected


def test_names_of_units_may_repeat(read):
    def change(table):
        table.obs_names = [f"u{i // 5}" for i in range(COUNT)]

    with pytest.warns(UserWarning, match="Observation names are not unique"):
        paired, found = read(change)
    assert len(paired.folds) == 5
    assert set(found) == {"image", "expression", "concat", "fused"}


def test_one_donor_says_what_its_sections_are_good_for(read):
    with pytest.raises(DataError, match=r"one donor, 'P0'; .*two at least.*leave-one-section-out"):
        read(column("who", "P0"))
    with pytest.raises(
        DataError, match="has 150 donors for 150 observations, so that most have one"
    ):
        read(column("who", [f"P{i}" for i in range(COUNT)]))
    with pytest.raises(DataError, match="a donor called 'all' means all donors; rename it"):
        read(column("who", ["all" if i % 2 else "P" for i in range(COUNT)]))


def test_a_table_without_units_is_refused(read, mine):
    empty = mine[:0].copy()
    mine._init_as_actual(empty)
    with pytest.raises(DataError, match=r"mine\.h5ad: no observations"):
        read()


def test_what_differs_between_donors_alone_is_refused_where_donors_are_scaled(read):
    def change(table):
        table.obsm["img"] = np.array(NUMBERS, dtype=np.float32)[:, None]

    read(change)
    with pytest.raises(
        DataError, match=r"obsm\['img'\] is the same for all observations of a donor, which"
    ):
        read(change, standardise="donor")


def test_two_keys_with_the_same_numbers_are_told(read, capsys):
    def change(table):
        table.obsm["gex"] = table.obsm["img"]

    read(change)
    said = capsys.readouterr().out
    assert "obsm['img'] and obsm['gex'] hold the same numbers" in said


def shorter(file):
    values = file["obsm/img"][:-1]
    del file["obsm/img"]
    file["obsm/img"] = values


def newer(file):
    file["obsm/img"].attrs["encoding-type"] = "from the future"


@pytest.mark.parametrize(
    ("rewrite", "message"),
    [
        (shorter, r"obsm\['img'\] has shape \(149, 4\) for 150 observations; write it again"),
        (newer, "written by a newer anndata than .* which does not know"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(read, rewrite, message):
    with pytest.raises(DataError, match=rf"mine\.h5ad: .*{message}"):
        read(rewrite=rewrite)


def test_only_what_is_named_is_read(read, mine):
    mine.obsm["other"] = np.zeros((COUNT, 2))
    mine.uns["list"] = [1]

    def rewrite(file):  # neither counts nor other embeddings nor uns can be read any more
        for place in ("X", "obsm/other", "uns"):
            if place in file:
                file[place].attrs["encoding-type"] = "from the future"

    paired, _ = read(rewrite=rewrite)
    assert paired.adata.n_obs == COUNT


def test_a_data_frame_has_its_rows_put_into_order(read, mine):
    expected = mine.obsm["img"].copy()
    names = [f"f{i}" for i in range(4)]
    mine.obsm["img"] = pd.DataFrame(expected, mine.obs_names, names)

    def rewrite(file):
        for name in (file["obsm/img"].attrs["_index"], *names):
            file[f"obsm/img/{name}"][...] = file[f"obsm/img/{name}"][()][::-1]

    paired, _ = read(rewrite=rewrite)
    np.testing.assert_array_equal(paired.image, expected)
