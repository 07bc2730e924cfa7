import pandas as pd

from cell_synergy.data.remarks import carried, of_datasets, remarked

TABLE = pd.DataFrame({"dataset": ["a", "b"], "value": [1.0, 2.0]})


def test_a_table_without_a_remark_is_the_same_table():
    assert remarked(TABLE, {"source": "a"}) is TABLE
    assert carried(TABLE, TABLE) is TABLE
    assert of_datasets(TABLE) == {}


def test_a_remark_stands_in_every_row_and_last():
    table = remarked(TABLE, {"remark": "one donor"})
    assert list(table) == ["dataset", "value", "remark"]
    assert table["remark"].tolist() == ["one donor"] * 2


def test_a_remark_follows_its_own_data_set():
    source = TABLE.assign(remark=["one donor", ""])
    found = carried(TABLE.iloc[::-1], source)
    assert found["remark"].tolist() == ["", "one donor"]
    assert of_datasets(found) == {"a": "one donor"}


def test_a_remark_of_other_data_sets_adds_no_column():
    source = TABLE.assign(remark=["one donor", ""])
    assert "remark" not in carried(TABLE[TABLE["dataset"] == "b"], source)
