"""Curves over pairs: means over donors, intervals, and where two of them cross."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from cell_synergy.core.errors import DataError
from cell_synergy.studies.scaling import DRAWN_LABELS, EXPERT
from cell_synergy.studies.scaling.curves import crossovers, curves, left_out, read

PAIRS = {1.0: 10, 10.0: 100, 100.0: 1000}


def rows(means, donors=8, spread=0.01, draws=2, **words):
    """Return scores of methods at 1, 10 and 100 %; donors differ by a shift of all methods."""
    found = []
    for method, values in means.items():
        for (fraction, pairs), mean in zip(PAIRS.items(), values, strict=True):
            for donor in range(donors):
                for draw in range(draws):
                    wiggle = spread * np.cos(donor * (1 + len(method)))
                    value = mean + 0.05 * np.cos(donor) + wiggle + 0.02 * (draw - (draws - 1) / 2)
                    found.append(
                        {"dataset": "lung", "method": method, "task": "region", "note": "",
                         "metric": "macro_f1", "labels": DRAWN_LABELS, "fold": "holdout", "seed": 0,
                         "fraction": fraction, "pairs": pairs, "draw": draw, "donor": f"T{donor}",
                         "value": value, "inner": mean, "chance": 0.25, "entropy": 1.5,
                         EXPERT: "small"}
                    )  # fmt: skip
    return pd.DataFrame(found).assign(**words)


CROSSING = {"finetuned": (0.5, 0.6, 0.7), "comm": (0.4, 0.55, 0.8)}


def test_intervals_are_over_donors_and_draws_stand_beside():
    donors = 8
    table = curves(rows(CROSSING))
    found = table[(table["method"] == "comm") & (table["fraction"] == 10)].iloc[0]
    values = 0.55 + 0.05 * np.cos(np.arange(donors)) + 0.01 * np.cos(np.arange(donors) * 5)
    half = t.ppf(0.975, donors - 1) * values.std(ddof=1) / np.sqrt(donors)
    assert found["score"] == pytest.approx(values.mean())
    assert found["low"] == pytest.approx(values.mean() - half)
    assert found["high"] == pytest.approx(values.mean() + half)
    assert found["most"] - found["least"] == pytest.approx(0.02)
    assert (found["draws"], found["donors"], found["pairs"]) == (2, 8, 100)


def test_the_crossing_lies_where_lines_on_a_log_scale_meet():
    found = crossovers(rows(CROSSING, spread=0.001))
    difference = found.set_index("fraction")["difference"]
    share = difference[10] / (difference[10] - difference[100])
    assert set(found["crossing"].round(3)) == {round(10 ** (2 + share), 3)}
    low, high = found["crossing_low"].iloc[0], found["crossing_high"].iloc[0]
    assert low < 10 ** (2 + share) < high
    assert found["said"].iloc[0].startswith("comm is above from 21")
    assert list(found["pairs"]) == [10, 100, 1000]


@pytest.mark.parametrize(
    ("means", "said"),
    [
        ({"finetuned": (0.5, 0.6, 0.7), "comm": (0.4, 0.5, 0.6)}, "finetuned is above comm at ev"),
        ({"finetuned": (0.4, 0.5, 0.6), "comm": (0.5, 0.6, 0.7)}, "comm is above finetuned at ev"),
        ({"finetuned": (0.5, 0.5, 0.5), "comm": (0.4, 0.6, 0.4)}, "the curves cross 2 times"),
    ],
)
def test_curves_that_do_not_cross_once_have_no_crossing(means, said):
    found = crossovers(rows(means))
    assert found["said"].iloc[0].startswith(said)
    assert found["crossing"].isna().all()


def test_a_crossing_that_hangs_on_single_donors_has_no_interval():
    found = crossovers(rows({"finetuned": (0.5, 0.6, 0.7), "comm": (0.4, 0.5, 0.7)}, spread=0.2))
    assert found["crossing_low"].isna().all()


def test_under_five_donors_there_is_no_interval():
    table = rows(CROSSING, donors=4)
    found = curves(table)
    assert found[["low", "high"]].isna().all(axis=None)
    assert set(found["note"]) == {"not testable: 4 donors, 5 needed"}
    compared = crossovers(table)
    assert compared["low"].isna().all()
    assert "not testable: 4 donors" in compared["said"].iloc[0]


def test_donors_held_out_in_turn_have_wider_intervals():
    table = rows(CROSSING)
    once, cross_validated = curves(table), curves(table.assign(fold=table["donor"]))
    width = (cross_validated["high"] - cross_validated["low"]) / (once["high"] - once["low"])
    np.testing.assert_allclose(width, np.sqrt(7 / 6))


def test_tables_are_read_and_what_was_left_out_is_said_once(tmp_path):
    gone = rows({"comm": (0, 0, 0)}).assign(note="3 pairs, 64 needed", value=np.nan, metric=None)
    folder = tmp_path / "scaling/lung"
    folder.mkdir(parents=True)
    table = pd.concat([rows({"comm": (0.4, 0.5, 0.6)}), gone[gone["fraction"] == 1]])
    table.to_csv(folder / "comm.csv", index=False)
    rows({"byol": (0.1, 0.1, 0.1)}).to_csv(folder / "byol.csv", index=False)  # a former focal one
    (tmp_path / "finetune").mkdir()
    with pytest.raises(DataError, match=r"lung\.csv: no such scores"):
        read(tmp_path / "scaling", tmp_path / "finetune", "lung", ["comm"], ["lung"])
    rows({"finetuned": (0.1, 0.2, 0.3)}).to_csv(tmp_path / "finetune/lung.csv", index=False)
    found = read(tmp_path / "scaling", tmp_path / "finetune", "lung", ["comm", "comm"], ["lung"])
    assert set(found["method"]) == {"comm", "finetuned"}
    for name in ("scaling/mine/comm.csv", "finetune/mine.csv"):  # a data set without such a task
        (tmp_path / name).parent.mkdir(exist_ok=True)
        table.assign(inner=0.5).iloc[:0].to_csv(tmp_path / name, index=False)
    none = read(tmp_path / "scaling", tmp_path / "finetune", "mine", ["comm"], ["mine"])
    pd.testing.assert_frame_equal(curves(pd.concat([found, none])), curves(found))
    assert left_out(found)[["fraction", "note"]].to_numpy().tolist() == [
        [1.0, "3 pairs, 64 needed"]
    ]
    assert len(curves(found)) == 6


def test_a_data_set_without_scaling_has_no_rows_whatever_an_earlier_study_left(tmp_path):
    (tmp_path / "scaling/lung").mkdir(parents=True)
    (tmp_path / "finetune").mkdir()
    tables = {"scaling/lung/comm": (0.4, 0.5, 0.6), "finetune/lung": (0.1, 0.2, 0.3)}
    for name, means in tables.items():
        rows({Path(name).parts[-1]: means}).to_csv(tmp_path / f"{name}.csv", index=False)
    folders = tmp_path / "scaling", tmp_path / "finetune"
    scored = read(*folders, "lung", ["comm"], ["lung"])
    for dataset, datasets in (("lung", ["mine"]), ("thymus", ["lung"])):
        none = read(*folders, dataset, ["comm"], datasets)
        assert none.empty
        for table in (curves, crossovers, left_out):
            assert table(none).empty
            pd.testing.assert_frame_equal(
                table(pd.concat([scored, none])), table(scored), check_dtype=False
            )
