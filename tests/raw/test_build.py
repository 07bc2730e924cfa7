from dataclasses import replace
from pathlib import Path

import anndata as ad
import imagecodecs
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.data import paired
from cell_synergy.raw import build as building

GENES = " ".join(f"g{i}" for i in range(40))
TASKS = {
    "region": {"kind": "classification", "exclude": ["fold"]},
    "panel": {"kind": "gene_panel", "genes": 6},
}


@pytest.fixture
def build(dataset, rules):
    def make(sections, raw=Path(), account=None, limits=None, **changes):
        own = rules.model_copy(update=limits or {})
        return building.build("lab", sections, dataset(**changes), own, raw, account)

    return make


@pytest.fixture
def three(section):
    """Return one section of each of two study donors and one of a reference donor."""
    return [section(name, name[0], GENES) for name in ("A1", "B1", "R1")]


def test_sections_are_joined_with_names_of_their_own_and_reference_donors_kept_apart(build, three):
    study, reference = build(three)
    assert study.obs_names.tolist() == [f"{s}_u{i}" for s in ("A1", "B1") for i in range(24)]
    assert study.obs["donor"].tolist() == ["A"] * 24 + ["B"] * 24
    assert reference.obs_names.tolist() == [f"R1_u{i}" for i in range(24)]
    assert set(reference.obs["donor"]) == {"R"}
    for row, one in ((0, three[0]), (24, three[1])):
        result = study[row : row + 24]
        np.testing.assert_array_equal(
            result[:, one.adata.var_names].X.toarray(), one.adata.X.toarray()
        )
        np.testing.assert_array_equal(result.obsm["spatial"], one.adata.obsm["spatial"])
    assert study.uns["source"] == "lab"
    assert study.uns["simulated"] is False


def test_sections_with_other_genes_are_joined_over_all_and_missing_genes_are_zero(build, section):
    result = [section("A1", "A", "b a"), section("B1", "B", "c b"), section("R1", "R", "d a")]
    study, reference = build(result, limits={"shared_genes": 0.0})
    assert study.var_names.tolist() == reference.var_names.tolist() == ["a", "b", "c", "d"]
    dense = study.to_df()
    assert (dense.loc["A1_u0":"A1_u23", ["c", "d"]] == 0).all(axis=None)
    assert (dense.loc["B1_u0":"B1_u23", ["a", "d"]] == 0).all(axis=None)
    assert (reference.to_df()[["b", "c"]] == 0).all(axis=None)
    np.testing.assert_array_equal(dense["b"][:24], result[0].adata.to_df()["b"])
    np.testing.assert_array_equal(dense["b"][24:], result[1].adata.to_df()["b"])


def test_donors_without_a_role_are_left_out_and_named(build, three, section, capsys):
    study, reference = build([*three, section("X1", "X", GENES)])
    assert set(study.obs["donor"]) | set(reference.obs["donor"]) == {"A", "B", "R"}
    assert "lab: section X1 has no role, left out" in capsys.readouterr().out


@pytest.mark.parametrize(("kept", "lacking"), [((0, 1), "reference"), ((2,), "study")])
def test_a_data_set_without_study_or_reference_donors_is_refused(build, three, kept, lacking):
    message = rf"lab: no section of a {lacking} donor; check data\.lab\.roles"
    with pytest.raises(DataError, match=message):
        build([three[i] for i in kept])


def test_units_off_the_tissue_or_at_the_border_are_dropped_and_counted(
    build, three, section, tmp_path, capsys
):
    image = np.full((120, 120, 3), 128, np.uint8)  # 60 x 60 um; units lie at 10 to 50 um
    image[:, 60:] = 255
    (tmp_path / "A1.png").write_bytes(imagecodecs.png_encode(image))
    one = section("A1", "A", GENES, image="A1.png", mpp=0.5)
    one.adata.obsm["spatial"][:, 0] = np.where(np.arange(24) < 22, 15, 45)
    one.adata.obsm["spatial"][0] = 3, 20
    study, _ = build([one, *three[1:]], raw=tmp_path)
    assert study.obs_names[:21].tolist() == [f"A1_u{i}" for i in range(1, 22)]
    assert study.obs_names[21] == "B1_u0"
    message = (
        "section A1: 3 of 24 observations dropped (1 too near the border, the rest off tissue)"
    )
    assert message in capsys.readouterr().out
    assert study.uns["images"] == {"A1": "A1.png", "B1": ""}
    assert study.uns["mpp"]["A1"] == 0.5


def _with_cells(one):
    """Make every unit of two cells, the first with a third of its counts."""
    x = one.adata.X.toarray()
    parts = np.stack([x // 3, x - x // 3], axis=1).reshape(-1, x.shape[1])
    cells = ad.AnnData(
        sparse.csr_matrix(parts),
        obs=pd.DataFrame({"unit": np.repeat(one.adata.obs_names, 2)}),
        var=one.adata.var,
    )
    return replace(one, cells=cells[::-1].copy())


def test_cells_follow_their_units(build, three, section, tmp_path):
    image = np.full((120, 120, 3), 128, np.uint8)
    (tmp_path / "A1.png").write_bytes(imagecodecs.png_encode(image))
    one = section("A1", "A", "b a", image="A1.png", mpp=0.5)
    one.adata.obsm["spatial"][0] = 1, 1  # too near the border
    result = [_with_cells(one), section("B1", "B", "c a"), three[2]]
    study, reference = build(result, raw=tmp_path, limits={"shared_genes": 0.0})
    cells = paired.cell_counts(study)
    assert cells is not None
    counts, unit = cells
    assert unit.tolist() == [*np.repeat(range(23), 2), *range(23, 47)]  # a unit of B is its cell
    np.testing.assert_array_equal(counts[46:].toarray(), study.X[23:].toarray())
    sums = [counts[unit == row].toarray().sum(axis=0) for row in range(23)]
    np.testing.assert_array_equal(sums, study.X[:23].toarray())
    assert paired.cell_counts(reference) is None
    paired.check(study, "p")


def test_cells_with_other_genes_than_their_units_are_refused(build, three):
    wrong = replace(_with_cells(three[0]), cells=three[0].adata[:, :3])
    with pytest.raises(DataError, match="section A1: cells and observations have different genes"):
        build([wrong, *three[1:]])


def test_a_class_needs_ten_units_in_each_of_two_donors(build, section, capsys):
    # few: 9 units of B; lone: A alone; fold is excluded, "" and None are no labels
    labels = {
        "A": ["core"] * 10 + ["few"] * 10 + ["lone"] * 12 + ["rim"] * 10 + ["fold"] * 10 + ["", ""],
        "B": ["core"] * 11 + ["few"] * 9 + ["rim"] * 10 + ["fold"] * 10 + [None] * 14,
    }
    sections = []
    for donor in "ABR":
        sections.append(section(f"{donor}1", donor, units=54))
        sections[-1].adata.obs["region"] = labels.get(donor, "core")
    study, _ = build(sections)
    region = study.obs["region"]
    assert region.cat.categories.tolist() == ["core", "rim"]
    assert region.value_counts().to_dict() == {"core": 21, "rim": 20}
    assert "dropped few, lone (under 10 observations in 2 donors)" in capsys.readouterr().out


def test_a_task_with_one_class_is_refused(build, three):
    for one in three:
        one.adata.obs["region"] = "core"
    with pytest.raises(
        DataError, match=r"lab: task 'region': 1 class.* needs two; check the label"
    ):
        build(three)


def test_a_label_in_one_section_alone_leaves_the_others_unlabelled(build, three, section):
    other = section("A2", "A", GENES)
    del other.adata.obs["region"]
    study, _ = build([*three, other])
    assert study.obs["region"].isna().sum() == 24
    assert study.obs["region"][study.obs["section"] == "A2"].isna().all()


def test_a_task_without_its_column_is_refused(build, three):
    tasks = {"layer": TASKS["region"]}
    message = "lab: no obs column 'layer' for the task; columns: region, section, donor"
    with pytest.raises(DataError, match=message):
        build(three, tasks=tasks)
    tasks = {"composition": {"kind": "composition"}}
    with pytest.raises(DataError, match=r"task 'composition' needs obsm\['cell_type_ratio'\]"):
        build(three, tasks=tasks)


def test_columns_that_no_task_names_are_left_behind(build, three, tmp_path):
    three[0].adata.obs["note"] = "mixed with the missing ones of B, this cannot be written"
    study, reference = build(three)
    assert set(study.obs) == set(reference.obs) == {"donor", "section", "region"}
    paired.write(tmp_path / "p.h5ad", study)


def test_a_column_block_of_ones_own_is_no_block_of_a_cut_section(build, three):
    for one in three:
        one.adata.obs["block"] = ["paraffin 1", "paraffin 2"] * 12
    study, reference = build(three)
    assert set(study.obs) == set(reference.obs) == {"donor", "section", "region"}
    assert "remark" not in study.uns


def test_the_panel_has_the_size_asked_for_and_is_hidden_from_the_expert(build, three):
    study, reference = build(three, tasks=TASKS)
    panel = study.var["panel"]
    assert panel.sum() == 6
    pd.testing.assert_series_equal(panel, reference.var["panel"])
    hidden = paired.visible_counts(study)
    assert hidden.shape == (48, 34)
    np.testing.assert_array_equal(hidden.toarray(), study.to_df().loc[:, ~panel])


def test_the_panel_is_chosen_on_reference_donors_only(build, three, section):
    before = build(three, tasks=TASKS)[0].var["panel"]
    for one in three[:2]:
        one.adata.X = sparse.csr_matrix(one.adata.X.toarray()[:, ::-1] ** 2)
    after = build(three, tasks=TASKS)[0].var["panel"]
    pd.testing.assert_series_equal(before, after)
    other = build([*three[:2], section("R2", "R", GENES)], tasks=TASKS)[0].var["panel"]
    assert (other != before).any()


def test_the_panel_holds_the_genes_that_vary_most_in_the_reference(build, three, section):
    one = section("R1", "R", " ".join(f"g{i}" for i in range(300)))
    rate = np.linspace(10, 40, 300)
    rate[:6] = 14, 18, 22, 26, 30, 34
    counts = np.random.default_rng(0).poisson(rate, (24, 300)).astype(np.float32)
    counts[:12, :3], counts[12:, 3:6] = counts[:12, :3] * 2, counts[12:, 3:6] * 2
    counts[12:, :3], counts[:12, 3:6] = 0, 0  # on and off, with the mean of many others
    one.adata.X = sparse.csr_matrix(counts)
    panel = build([*three[:2], one], tasks=TASKS, limits={"shared_genes": 0.0})[0].var["panel"]
    assert set(panel.index[panel]) == {f"g{i}" for i in range(6)}


def test_a_panel_of_more_genes_than_the_reference_shows_is_refused(build, three):
    counts = three[2].adata.X.toarray()
    counts[2:, 5:] = 0  # two of 24 units are under a tenth
    three[2].adata.X = sparse.csr_matrix(counts)
    with pytest.raises(DataError, match=r"lab: the gene panel has 6 genes, but only 5 genes"):
        build(three, tasks=TASKS)


def test_a_role_of_a_donor_that_is_not_there_is_refused_with_the_nearest(build, three):
    roles = {"study": ["A", "B", "AA"], "reference": ["R"]}
    with pytest.raises(DataError, match=r"no donor 'AA' in the data \(did you mean 'A'"):
        build(three, roles=roles)
