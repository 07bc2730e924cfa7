import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.raw.sections.label_tables import as_proportions, join_labels, read_labels


@pytest.fixture
def table():
    coords = np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]])
    names = pd.DataFrame(index=["u1", "u2", "u3"])
    return ad.AnnData(np.ones((3, 1), np.float32), obs=names, obsm={"spatial": coords})


@pytest.fixture
def labels(tmp_path):
    """Return a function that writes a table and reads it for the donor A's section A1."""

    def read(text, name="labels.csv"):
        (tmp_path / name).write_text(text)
        return read_labels(tmp_path / name, {"A1": "A"})

    return read


def test_names_join_labels_and_an_empty_label_is_none(labels, table, capsys):
    text = "section,cell_id,region,layer\nA1,u3,rim,1\nA1,u1, ,2\nA1,u9,rim,3\nB1,u2,core,4\n"
    result = join_labels(labels(text), "A1", table, 1.0, 5.0)
    assert result["region"].tolist() == [None, None, "rim"]
    assert result["layer"].tolist() == ["2", None, "1"]
    assert "1 of 3 rows of labels.csv (e.g. u9) match nothing" in capsys.readouterr().out


def test_places_join_the_nearest_row_within_reach(labels, table):
    text = "section,x,y,region\nA1,1,0,near\nA1,18,1,third\nA1,100,0,far\n"
    result = join_labels(labels(text), "A1", table, 0.5, 4.0)  # at 0.5, 9 and 50 um
    assert result["region"].tolist() == ["near", "third", None]
    with pytest.raises(DataError, match=r"no position of section 'A1' is within 1 um of its data"):
        join_labels(labels("section,x,y,region\nA1,50,50,far\n"), "A1", table, 0.5, 1.0)


def test_a_section_without_rows_has_no_labels(labels, table, capsys):
    result = join_labels(labels("section,barcode,region\nA1,u1,rim\n"), "B1", table, 1.0, 5.0)
    assert result["region"].tolist() == [None] * 3
    assert "section B1: no row in labels.csv, no labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slide,cell_id,region\nA1,u1,rim\n", r"no column 'section'"),
        ("section,cell,region\nA1,u1,rim\n", r"needs a column 'barcode' or 'cell_id', or .*'x'"),
        ("section,cell_id\nA1,u1\n", r"has no label; add a column"),
        (
            "section,cell_id,region\nC7,u1,rim\n",
            r"'section' has C7, none .*donor \(A1\); name",
        ),
        ("section,cell_id,region\n", r"has no row; give one for every spot or cell"),
        ("section,cell_id,region\n,,\n", r"has no row"),
        ("", r"is empty; get it again"),
    ],
)
def test_a_table_that_cannot_be_joined_is_refused(labels, text, message):
    with pytest.raises(DataError, match=rf"labels\.csv: .*{message}|labels\.csv: {message}"):
        labels(text)


def test_a_cell_type_is_a_column_of_the_table(labels):
    text = "section,cell_id,celltype\nA1,u1,T\n"
    with pytest.raises(DataError, match=r"no column 'cell_type' for reader\.cell_type \(did you"):
        labels(text).require("cell_type")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "section,cell_id,region\nA1,u1-1,rim\n",
            r"the table has 'u1-1', the data 'u1'",
        ),
        (
            "section,cell_id,region\nA1,u1,a\nA1,u1,b\n",
            r"cell_id 'u1' of section 'A1' occurs twice",
        ),
        ("section,x,y,region\nA1,1,2,a\nA1,1,left,b\n", r"labels\.csv, row 3: 'x' or 'y' is not a"),
    ],
)
def test_rows_that_fit_no_unit_are_named(labels, table, text, message):
    result = labels(text)
    with pytest.raises(DataError, match=message):
        join_labels(result, "A1", table, 1.0, 5.0)


def test_shares_are_numbers_and_a_row_may_have_none(labels, table):
    result = join_labels(
        labels("section,barcode,T,B\nA1,u1,.25,.75\nA1,u3,1,0\n"), "A1", table, 1.0, 5.0
    )
    ratio = as_proportions(result, "S")
    np.testing.assert_array_equal(ratio.loc[["u1", "u3"]], [[0.25, 0.75], [1, 0]])
    assert ratio.loc["u2"].isna().all()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ".5,.4",
            "S: the shares of 1 of 3 observations sum to 0.9, not to 1, first of 'u2' .0.5, 0.4.",
        ),
        ("-.5,1.5", "are negative or infinite, first of 'u2'"),
        ("much,0", "S: 'much' of 'u2' in column 'T' is not a number; give shares from 0"),
        ("25%,75%", "S: '25%' of 'u2' in column 'T' is not a number"),
        (".5,", "are missing in part, first of 'u2' .0.5, nan.; write 0 for a type"),
        ("25.5,74.5", "are percentages, which sum to 100, first of 'u2' .*; divide by 100"),
        ("3,4", "are counts, which sum to 7, first of 'u2' .3, 4.; divide each row by its sum"),
        ("0,0", "sum to 0, first of 'u2' .0, 0.; leave a row empty .not 0. where nothing"),
        ("inf,0", "are negative or infinite"),
        ("1e300,0", "sum to 1e.300, not to 1|are counts, which sum to 1e.300"),
    ],
)
def test_values_that_are_no_shares_are_named(labels, table, row, message):
    result = join_labels(
        labels(f"section,barcode,T,B\nA1,u1,0,1\nA1,u2,{row}\n"), "A1", table, 1.0, 5.0
    )
    with pytest.raises(DataError, match=message):
        as_proportions(result, "S")


@pytest.mark.parametrize("name", ["1", " 1 ", "1.0", "\ufeff1"])
def test_a_section_that_a_spreadsheet_changed_is_the_folders(tmp_path, table, name):
    for section in ("1", "1.0"):
        (tmp_path / "labels.csv").write_text(f"section,barcode,region\n{name},u1,rim\n2,u1,core\n")
        result = join_labels(
            read_labels(tmp_path / "labels.csv", [section]), section, table, 1.0, 5.0
        )
        assert result["region"].tolist() == ["rim", None, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("section,barcode,region\nA1,u1,a\n,u2,b\n", "section is missing for 1 of 2 .*'row 3'"),
        ("section,barcode,region\nA1,u1,a\nnan,u2,b\n", "section is missing for 1 of 2 rows"),
        ("section,barcode,region\nA1,u1,a\na1,u2,b\n", "'A1' and 'a1' differ in blanks or cap"),
        ("section,barcode,region\nA 1,u1,a\n", "'A 1' and 'A1' differ in blanks or capitals"),
        ("section,barcode,region\nA1,u1,a\nA1,,b\n", "'barcode' is empty for 1 of 2 rows, first"),
    ],
)
def test_rows_of_no_section_or_no_spot_are_refused(labels, text, message):
    with pytest.raises(DataError, match=rf"labels\.csv: .*{message}"):
        labels(text)


def test_blanks_around_a_barcode_are_none_of_it(labels, table):
    text = "section,barcode,region\nA1,u1 ,rim\nA1,\tu3,core\n,,\n"
    assert join_labels(labels(text), "A1", table, 1.0, 5.0)["region"].tolist() == [
        "rim",
        None,
        "core",
    ]
    table.obs_names = ["u1", " u2", "u3\t"]
    assert join_labels(labels(text), "A1", table, 1.0, 5.0)["region"].tolist() == [
        "rim",
        None,
        "core",
    ]
    table.obs_names = ["u1", "u1 ", "u3"]  # two spots, that only a blank tells apart
    assert join_labels(labels(text), "A1", table, 1.0, 5.0)["region"].tolist() == [
        "rim",
        None,
        "core",
    ]
    twice = "section,barcode,region\nA1,u1,rim\nA1,u1 ,core\n"
    with pytest.raises(DataError, match="barcode 'u1' of section 'A1' occurs twice"):
        join_labels(labels(twice), "A1", table, 1.0, 5.0)


def test_a_barcode_is_a_name_whatever_it_looks_like(labels, table):
    table.obs_names = ["007", "1.0", "None"]
    text = "section,barcode,region\nA1,007,rim\nA1,1.0,core\nA1,None,edge\n"
    result = join_labels(labels(text), "A1", table, 1.0, 5.0)["region"]
    assert result.to_dict() == {"007": "rim", "1.0": "core", "None": "edge"}


@pytest.mark.parametrize("name", ["nan", "NA", "1", "2.0"])
def test_a_barcode_of_a_parquet_table_is_taken_as_it_is(tmp_path, table, name):
    table.obs_names = [name, "b", "c"]
    rows = pd.DataFrame({"section": 1.0, "barcode": [name, "b"], "region": ["rim", np.nan]})
    rows.to_parquet(tmp_path / "labels.parquet")
    result = join_labels(read_labels(tmp_path / "labels.parquet", ["1"]), "1", table, 1.0, 5.0)
    assert result["region"].tolist() == ["rim", None, None]


def test_numbers_of_cells_in_a_parquet_table_are_whole(tmp_path, table):
    table.obs_names = ["1", "2", "3"]
    rows = pd.DataFrame({"section": ["S", "S"], "cell_id": [1.0, 3.0], "cluster": [4.0, np.nan]})
    rows.to_parquet(tmp_path / "labels.parquet")
    result = join_labels(read_labels(tmp_path / "labels.parquet", ["S"]), "S", table, 1.0, 5.0)
    assert result["cluster"].tolist() == ["4", None, None]


def test_missing_labels_and_cluster_numbers_read_as_in_an_h5ad(labels, table):
    text = "section,barcode,region,cluster\nA1,u1,nan,1.0\nA1,u2,NA,2.0\nA1,u3, rim  a,\n"
    result = join_labels(labels(text), "A1", table, 1.0, 5.0)
    assert result["region"].tolist() == [None, None, "rim a"]
    assert result["cluster"].tolist() == ["1", "2", None]


def test_rows_of_other_sections_are_told(labels, capsys):
    labels("section,barcode,region\nA1,u1,rim\n9,u1,rim\n")
    assert "labels.csv: rows of 9, which are no sections with a donor" in capsys.readouterr().out


def test_an_index_that_pandas_wrote_is_no_label(labels):
    assert labels(",section,barcode,T,B\n0,A1,u1,0,1\n").columns == ["T", "B"]
