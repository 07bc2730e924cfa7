import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.data import anndata_files, paired
from cell_synergy.data.config import CompositionTask, GenePanelTask


def test_an_expert_sees_all_genes_but_the_panel(units):
    table = units(10, 6, panel=2)
    found = paired.visible_counts(table)
    np.testing.assert_array_equal(found.toarray(), table.X.toarray()[:, :4])


def test_log_normalisation_is_its_closed_form_and_leaves_empty_units_empty():
    counts = sparse.csr_matrix(np.array([[1, 3, 0], [0, 0, 0], [0, 0, 7]], np.float32))
    found = paired.log_normalise(counts, 100.0)
    expected = [[np.log(26), np.log(76), 0], [0, 0, 0], [0, 0, np.log(101)]]
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-6)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(counts.toarray()[0], [1, 3, 0])


def test_targets_are_log_normalised_panel_genes_or_proportions(units):
    table = units(10, 6, panel=2)
    panel = GenePanelTask(kind="gene_panel", genes=2)
    counts = table.X.toarray().astype(np.float64)
    expected = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)[:, 4:]
    np.testing.assert_allclose(paired.regression_target(table, "panel", panel), expected, rtol=1e-6)
    ratio = pd.DataFrame({c: np.linspace(0, 1, 10) for c in "abc"}, index=table.obs_names)
    table.obsm["cell_type_ratio"] = ratio
    composition = CompositionTask(kind="composition", exclude=("b", "other"))
    found = paired.regression_target(table, "composition", composition)
    np.testing.assert_array_equal(found, ratio[["a", "c"]].to_numpy())
    table.var["panel"] = False
    with pytest.raises(DataError, match="lab: task 'panel' but no gene is marked as panel"):
        paired.regression_target(table, "panel", panel)


def test_pairs_are_written_and_read_back(units, tmp_path):
    study = units(30, 12, panel=4)
    study.obs["region"] = pd.Categorical(["core", "rim", None] * 10)
    paired.write(tmp_path / "p.h5ad", study)
    found = paired.read(tmp_path / "p.h5ad")
    pd.testing.assert_frame_equal(found.obs, study.obs)
    pd.testing.assert_frame_equal(found.var, study.var)
    np.testing.assert_array_equal(found.X.toarray(), study.X.toarray())
    with pytest.raises(DataError, match=r"q\.h5ad: no such pairs; name the data set in `datasets`"):
        paired.read(tmp_path / "q.h5ad")


def test_cells_are_given_without_the_panel_and_written_with_their_units(units, tmp_path):
    study = units(3, 5, panel=2)
    assert paired.cell_counts(study) is None
    unit = np.array([0, 0, 1, 2, 2, 2])
    counts = sparse.csr_matrix(np.arange(30, dtype=np.float32).reshape(6, 5))
    study.uns["cells"] = {"counts": counts, "unit": unit}
    with pytest.raises(
        DataError, match=r"lab: the cells of 3 patches \(first 'u0'\) do not add up"
    ):
        paired.cell_counts(study)
    study.X = sparse.csr_matrix([[5, 7, 9, 11, 13], [10, 11, 12, 13, 14], [60, 63, 66, 69, 72]])
    paired.write(tmp_path / "p.h5ad", study)
    cells = paired.cell_counts(paired.read(tmp_path / "p.h5ad"))
    assert cells is not None
    found, row = cells
    np.testing.assert_array_equal(found.toarray(), counts.toarray()[:, :3])
    np.testing.assert_array_equal(row, unit)
    with pytest.raises(DataError, match=r"6 cells x 5 genes in patches up to 2, for 2 patches"):
        paired.cell_counts(study[:2])


def _rename(table):
    table.obs_names = ["u0", "u1", "u1", "u3"]


def _column(name, values):
    def change(table):
        table.obs[name] = values

    return change


BROKEN = {
    "observation 'u1' occurs twice; rename it": _rename,
    "2 counts are NaN, infinite or negative, first nan of gene 'g1' in observation 'u2'; store raw":
        lambda table: table.X.__setitem__((slice(2, 4), 1), np.nan),
    "1 counts are NaN, infinite or negative, first -1.0 of gene 'g0' in observation 'u3'; store":
        lambda table: table.X.__setitem__((3, 0), -1),
    "no obs['donor']; name the donor of every observation":
        lambda table: table.obs.pop("donor"),
    "obs['donor']: the donor is missing for 1 of 4 rows, first 'u2'; name it for every row":
        _column("donor", pd.Categorical(["A", "A", None, "A"])),
    "obs['donor']: the donor is missing for 2 of 4 rows, first 'u1'":
        _column("donor", ["A", "nan", "<NA>", "A"]),
    "obs['donor']: 'A' and 'A ' differ in blanks or capitals alone":
        _column("donor", ["A", "A ", "B", "B"]),
    "obs['donor']: 'A' and 'a' differ in blanks or capitals alone":
        _column("donor", ["A", "a", "B", "B"]),
    "obs['section']: the section is missing for 2 of 4 rows, first 'u1'; name it for every row":
        _column("section", ["A", "", " ", "A"]),
    "no obsm['spatial']; store each observation's coordinates": lambda table: table.obsm.clear(),
    "obsm['spatial'] is not finite for 1 observations, first 'u3'; drop these observations":
        lambda table: table.obsm["spatial"].__setitem__((3, 1), np.inf),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Observation names are not unique:UserWarning")
@pytest.mark.parametrize("message", BROKEN)
def test_pairs_that_break_the_contract_are_neither_written_nor_read(units, tmp_path, message):
    table = units(4, 3)
    paired.check(table, "p.h5ad")
    BROKEN[message](table)
    with pytest.raises(DataError, match=re.escape(f"p.h5ad: {message}")):
        paired.write(tmp_path / "p.h5ad", table)
    assert not list(tmp_path.iterdir())
    anndata_files.write(tmp_path / "p.h5ad", table)
    with pytest.raises(DataError, match=re.escape(f"p.h5ad: {message}")):
        paired.read(tmp_path / "p.h5ad")
