"""Labels leave the pairs for a file of their own, come back unchanged, and fit no other pairs."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from cell_synergy.core.errors import DataError
from cell_synergy.data import label_files, paired
from cell_synergy.data.config import Task
from tests import labelled

TASKS: dict[str, dict[str, Any]] = {
    "zone": {"kind": "classification"},
    "region": {"kind": "classification", "exclude": ["fold"]},
    "types": {"kind": "composition", "exclude": ["b", "absent"]},
    "panel": {"kind": "gene_panel", "genes": 2},
}


def specs(*names):
    return TypeAdapter(dict[str, Task]).validate_python({name: TASKS[name] for name in names})


@pytest.fixture
def adata(units):
    """Ten observations with the labels of all tasks."""
    table = units(10, 6, panel=2)
    table.obs["region"] = pd.Categorical(["core", "rim", None, "core", "rim"] * 2)
    table.obs["zone"] = pd.Categorical([*"xyzxyzxyzx"])
    shares = np.full((10, 3), 1 / 3)
    shares[4] = np.nan
    table.obsm["cell_type_ratio"] = pd.DataFrame(shares, table.obs_names, [*"abc"])
    table.uns["simulated"] = True
    return table


@pytest.fixture
def folder(adata, tmp_path):
    """A folder with pairs, labels and table of tasks of the data set `lab`."""
    labelled.write(tmp_path, "lab", adata, TASKS)
    return tmp_path


def test_pairs_have_no_label_and_joined_they_have_all_in_the_order_of_the_tasks(adata, folder):
    pairs = paired.read(folder / "pairs/lab.h5ad")
    assert list(pairs.obs) == ["donor", "section"]
    assert list(pairs.obsm) == ["spatial"]
    assert set(pairs.uns) == {"source", "simulated"}
    joined = paired.read(folder / "pairs/lab.h5ad", folder / "labels/lab.h5ad")
    assert list(joined.obs) == ["donor", "section", "zone", "region"]
    for task in ("zone", "region"):
        pd.testing.assert_series_equal(joined.obs[task], adata.obs[task])
    shares = joined.obsm["cell_type_ratio"]
    pd.testing.assert_frame_equal(shares, adata.obsm["cell_type_ratio"])
    pd.testing.assert_frame_equal(joined.var, adata.var)


@pytest.mark.parametrize("names", [(), ("region",), ("panel", "zone"), ("types",)])
def test_the_pairs_have_the_same_bytes_whatever_the_tasks(adata, folder, tmp_path, names):
    labelled.write(tmp_path / "other", "lab", adata, {name: TASKS[name] for name in names})
    pairs, labels = (
        [(root / kind / "lab.h5ad").read_bytes() for root in (folder, tmp_path / "other")]
        for kind in ("pairs", "labels")
    )
    assert pairs[0] == pairs[1]
    assert labels[0] != labels[1]


def test_a_label_that_is_no_task_is_left_behind(adata):
    _, labels = label_files.separate(adata, specs("region", "panel"))
    assert list(labels.obs) == ["region"]
    assert not labels.obsm
    assert labels.uns["tasks"] == {"region": "classification", "panel": "gene_panel"}


def test_observations_without_the_column_of_a_task_have_the_others(adata):
    del adata.obs["zone"], adata.obsm["cell_type_ratio"]
    _, labels = label_files.separate(adata, specs("zone", "region", "types"))
    assert list(labels.obs) == ["region"]
    assert not labels.obsm


def test_the_table_counts_classes_or_outputs_and_labels(folder):
    table = label_files.read_task_table(folder / "labels", "lab")
    assert table.simulated
    assert list(table.tasks.index) == list(TASKS)
    assert table.tasks["kind"].to_dict() == {name: task["kind"] for name, task in TASKS.items()}
    assert table.tasks["classes"].tolist() == [3, 2, 2, 2]
    assert table.tasks["observations"].tolist() == [10, 8, 9, 10]


def test_a_table_without_tasks_still_says_what_is_simulated(adata, tmp_path):
    for simulated in (True, False):
        adata.uns["simulated"] = simulated
        labelled.write(tmp_path, "lab", adata, {})
        table = label_files.read_task_table(tmp_path / "labels", "lab")
        assert table.simulated is simulated
        assert table.tasks.empty
        assert list(table.tasks.columns) == ["kind", "classes", "observations"]
    lines = (tmp_path / "labels/lab.csv").read_text().splitlines()
    assert lines == ["dataset,simulated,role,task,kind,classes,observations", "lab,False,,,,0,0"]


@pytest.mark.parametrize("tasks", [{}, TASKS])
def test_the_table_says_what_simulated_tissue_is_for(adata, tmp_path, tasks):
    labelled.write(tmp_path, "lab", adata, tasks, "synergy, states well seen")
    labels = tmp_path / "labels"
    assert label_files.read_task_table(labels, "lab").role == "synergy, states well seen"
    labelled.write(tmp_path, "lab", adata, tasks)
    assert label_files.read_task_table(labels, "lab").role == ""


def test_a_task_whose_name_reads_like_a_missing_value_is_a_task(adata, tmp_path):
    adata.obs["nan"] = adata.obs["zone"]
    labelled.write(tmp_path, "lab", adata, {"nan": {"kind": "classification"}})
    assert list(label_files.read_task_table(tmp_path / "labels", "lab").tasks.index) == ["nan"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such table of tasks; make it with `dvc repro pairs`"),
        ("dataset,task\nlab,region\n", "not the table of tasks of 'lab'; delete it"),
        (
            "dataset,simulated,role,task,kind,classes,observations\n",
            "not the table of tasks of 'lab'",
        ),
        (
            "dataset,simulated,role,task,kind,classes,observations\nlung,True,none,,,0,0\n",
            "not the table of tasks of 'lab'",
        ),
    ],
)
def test_a_table_of_something_else_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "lab.csv").write_text(content)
    with pytest.raises(DataError, match=rf"lab\.csv: {message}"):
        label_files.read_task_table(tmp_path, "lab")


def _shorter(adata):
    return adata[:9].copy()


def _reversed(adata):
    return adata[::-1].copy()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_shorter, "has 9 rows, the pairs have 10: labels of other pairs; make both again"),
        (_reversed, "row 0 is 'u9', the pairs have 'u0': labels of other pairs"),
    ],
)
def test_labels_of_other_pairs_are_refused(adata, folder, change, message):
    _, labels = label_files.separate(change(adata), specs(*TASKS))
    label_files.write(folder / "labels/lab.h5ad", labels)
    with pytest.raises(DataError, match=rf"labels/lab\.h5ad: {re.escape(message)}"):
        paired.read(folder / "pairs/lab.h5ad", folder / "labels/lab.h5ad")


def test_labels_of_another_data_set_are_refused(adata, folder):
    other = adata.copy()
    other.uns["source"] = "other"
    labelled.write(folder, "other", other, TASKS)
    with pytest.raises(DataError, match=r"other\.h5ad: labels of 'other', not of the pairs' 'lab'"):
        paired.read(folder / "pairs/lab.h5ad", folder / "labels/other.h5ad")


def test_a_file_of_something_else_is_no_label_file(adata, folder):
    del adata.uns["source"]
    adata.obs = adata.obs[[]]
    adata.write_h5ad(folder / "labels/else.h5ad")
    with pytest.raises(DataError, match=r"else\.h5ad: no uns\['source'\], so it is no label file"):
        paired.read(folder / "pairs/lab.h5ad", folder / "labels/else.h5ad")


def test_a_task_without_labels_is_named(folder):
    joined = paired.read(folder / "pairs/lab.h5ad", folder / "labels/lab.h5ad")
    message = r"lab: no labels of task 'regoin' \(did you mean 'region'.*name a column of the data"
    with pytest.raises(DataError, match=message):
        paired.task_labels(joined, "regoin")


def test_pairs_of_former_times_which_have_labels_are_refused(adata, folder):
    paired.write(folder / "pairs/lab.h5ad", adata)
    with pytest.raises(DataError, match=r"the pairs have labels already \(obs\['zone'\]\); make"):
        paired.read(folder / "pairs/lab.h5ad", folder / "labels/lab.h5ad")


def test_missing_labels_are_named(folder):
    with pytest.raises(DataError, match=r"none\.h5ad: no such labels; name the data set in"):
        paired.read(folder / "pairs/lab.h5ad", folder / "labels/none.h5ad")


def test_labels_that_are_no_categories_are_not_written(adata, tmp_path):
    adata.obs["region"] = adata.obs["region"].astype(str)
    _, labels = label_files.separate(adata, specs("region"))
    message = re.escape("l.h5ad: obs['region'] is not categorical; convert it")
    with pytest.raises(DataError, match=message):
        label_files.write(tmp_path / "l.h5ad", labels)
    assert not list(tmp_path.iterdir())
