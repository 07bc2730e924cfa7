import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.data.sections.labels import join, read_labels, shares


@pytest.fixture
def table():
    places = np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]])
    names = pd.DataFrame(index=["u1", "u2", "u3"])
    return ad.AnnData(np.ones((3, 1), np.float32), obs=names, obsm={"spatial": places})


@pytest.fixture
def labels(tmp_path):
    """Return a function that writes a table and reads it for the donor A's section A1."""

    def read(text, name="labels.csv"):
        (tmp_path / name).write_text(text)
        return read_labels(tmp_path / name, {"A1": "A"})

    return read


def test_names_join_labels_and_an_empty_label_is_none(labels, table, capsys):
    text = "section,cell_id,region,layer\nA1,u3,rim,1\nA1,u1, ,2\nA1,u9,rim,3\nB1,u2,core,4\n"
    found = join(labels(text), "A1", table, 1.0, 5.0)
    assert found["region"].tolist() == [None, None, "rim"]
    assert found["layer"].tolist() == ["2", None, "1"]
    assert "1 of 3 rows of labels.csv (e.g. u9) are of nothing" in capsys.readouterr().out


def test_places_join_the_nearest_row_within_reach(labels, table):
    text = "section,x,y,region\nA1,1,0,near\nA1,18,1,third\nA1,100,0,far\n"
    found = join(labels(text), "A1", table, 0.5, 4.0)  # at 0.5, 9 and 50 um
    assert found["region"].tolist() == ["near", "third", None]
    with pytest.raises(DataError, match=r"no place of section 'A1' is within 1 um of its data"):
        join(labels("section,x,y,region\nA1,50,50,far\n"), "A1", table, 0.5, 1.0)


def test_a_section_without_rows_has_no_labels(labels, table, capsys):
    found = join(labels("section,barcode,region\nA1,u1,rim\n"), "B1", table, 1.0, 5.0)
    assert found["region"].tolist() == [None] * 3
    assert "section B1: no row in labels.csv, no labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slide,cell_id,region\nA1,u1,rim\n", r"no column 'section'"),
        ("section,cell,region\nA1,u1,rim\n", r"needs a column 'barcode' or 'cell_id', or .*'x'"),
        ("section,cell_id\nA1,u1\n", r"has no label; add a column"),
        ("section,cell_id,region\nC7,u1,rim\n", r"'section' has C7, none .*donor \(A1\); name"),
        ("", r"cannot be read as a table"),
    ],
)
def test_a_table_that_cannot_be_joined_is_refused(labels, text, message):
    with pytest.raises(DataError, match=rf"labels\.csv: .*{message}|labels\.csv: {message}"):
        labels(text)


def test_a_cell_type_is_a_column_of_the_table(labels):
    text = "section,cell_id,celltype\nA1,u1,T\n"
    with pytest.raises(DataError, match=r"no column 'cell_type' for sections\.cell_type \(did you"):
        labels(text).require("cell_type")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("section,cell_id,region\nA1,u1-1,rim\n", r"no cell_id of .* \(there 'u1-1', here 'u1'\)"),
        (
            "section,cell_id,region\nA1,u1,a\nA1,u1,b\n",
            r"cell_id 'u1' of section 'A1' occurs twice",
        ),
        ("section,x,y,region\nA1,1,2,a\nA1,1,left,b\n", r"labels\.csv, row 3: 'x' or 'y' is not a"),
    ],
)
def test_rows_that_fit_no_unit_are_named(labels, table, text, message):
    found = labels(text)
    with pytest.raises(DataError, match=message):
        join(found, "A1", table, 1.0, 5.0)


def test_shares_are_numbers_and_a_row_may_have_none(labels, table):
    found = join(labels("section,barcode,T,B\nA1,u1,.25,.75\nA1,u3,1,0\n"), "A1", table, 1.0, 5.0)
    ratio = shares(found, "S")
    np.testing.assert_array_equal(ratio.loc[["u1", "u3"]], [[0.25, 0.75], [1, 0]])
    assert ratio.loc["u2"].isna().all()


@pytest.mark.parametrize("row", [".5,.4", "-.5,1.5", "much,0", ".5,"])
def test_what_is_no_share_is_named(labels, table, row):
    found = join(labels(f"section,barcode,T,B\nA1,u1,0,1\nA1,u2,{row}\n"), "A1", table, 1.0, 5.0)
    with pytest.raises(DataError, match=r"S, 'u2': .* are no shares; give numbers from 0"):
        shares(found, "S")
