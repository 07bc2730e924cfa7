import pandas as pd

from cell_synergy.data.remarks import add_remark, copy_remarks, remarks_by_dataset

TABLE = pd.DataFrame({"dataset": ["a", "b"], "value": [1.0, 2.0]})


def test_a_table_without_a_remark_is_the_same_table():
    assert add_remark(TABLE, {"source": "a"}) is TABLE
    assert copy_remarks(TABLE, TABLE) is TABLE
    assert remarks_by_dataset(TABLE) == {}


def test_a_remark_stands_in_every_row_and_last():
    table = add_remark(TABLE, {"remark": "one donor"})
    assert list(table) == ["dataset", "value", "remark"]
    assert table["remark"].tolist() == ["one donor"] * 2


def test_a_remark_follows_its_own_data_set():
    source = TABLE.assign(remark=["one donor", ""])
    found = copy_remarks(TABLE.iloc[::-1], source)
    assert found["remark"].tolist() == ["", "one donor"]
    assert remarks_by_dataset(found) == {"a": "one donor"}


def test_a_remark_of_other_data_sets_adds_no_column():
    source = TABLE.assign(remark=["one donor", ""])
    assert "remark" not in copy_remarks(TABLE[TABLE["dataset"] == "b"], source)
