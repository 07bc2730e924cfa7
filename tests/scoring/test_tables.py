"""SIS of tidy scores: a table worked out by hand, its properties, and tables that are broken."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.scoring.tables import (
    COLUMNS,
    INFERENCE_COLUMNS,
    chance_stars,
    headline_rows,
    paper_rows,
    read_scores,
    read_sis,
    sis_by_donor,
    sis_table,
)

CASE = ["dataset", "method", "task", "metric", "probe"]


def tidy(values, *, metric="r2", folds=None):
    """Build scores from {method: {donor: [one value per seed]}}; `folds` gives a donor's folds."""
    rows = [
        ["toy", method, "genes", metric, "linear", fold, donor, seed, value, 10, value, 0, 2]
        for method, donors in values.items()
        for donor, seeds in donors.items()
        for fold in (folds or {}).get(donor, ["0"])
        for seed, value in enumerate(seeds)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture
def scores():
    """Image wins in donor b alone, expression over both: it stays the reference in b, too."""
    values = {
        "image": {"a": [0.1, 0.3], "b": [0.6, 0.6]},
        "expression": {"a": [0.5, 0.7], "b": [0.4, 0.4]},
        "comm": {"a": [0.6, 0.8], "b": [0.6, 0.7]},
        "random": {"a": [0.3, 0.3], "b": [0.2, 0.2]},
    }
    return tidy(values, folds={"a": ["0"], "b": ["1"]})


def test_the_table_holds_the_numbers_worked_out_by_hand(scores):
    table = sis_table(scores).set_index(["method", "fold"])
    assert table.index.tolist() == [(m, f) for m in ("comm", "random") for f in ("all", "0", "1")]
    assert set(table["best"]) == {"expression"}
    expected = {  # score, best_score, image_score, gain, sis, n_donors
        "all": (0.675, 0.5, 0.4, 0.175, 0.35, 2),
        "0": (0.7, 0.6, 0.2, 0.1, 0.1 / 0.6, 1),
        "1": (0.65, 0.4, 0.6, 0.25, 0.625, 1),
    }
    columns = ["score", "best_score", "image_score", "gain", "sis", "n_donors"]
    for fold, numbers in expected.items():
        assert list(table.loc[("comm", fold), columns]) == pytest.approx(numbers)
    assert table.loc[("random", "all"), "sis"] == pytest.approx(-0.5)


def test_bits_of_classes_are_shares_of_the_mean_entropy(scores):
    entropy = scores["donor"].map({"a": 1.0, "b": 3.0})
    scores = scores.assign(metric="bits", entropy=entropy)
    table = sis_table(scores).set_index(["method", "fold"])
    assert table.loc[("comm", "all"), "gain"] == pytest.approx(0.175 / 2)
    assert table.loc[("comm", "0"), "gain"] == pytest.approx(0.1 / 1)
    assert table.loc[("comm", "1"), "gain"] == pytest.approx(0.25 / 3)
    assert table.loc[("comm", "all"), "sis"] == pytest.approx(0.35)
    donors = sis_by_donor(scores).set_index(["method", "donor"])["gain"]
    assert donors[("comm", "a")] == pytest.approx(0.1 / 2)
    assert donors["comm"].mean() == pytest.approx(0.175 / 2)


def test_each_donor_s_share_is_its_gain_over_the_mean_of_the_best(scores):
    donors = sis_by_donor(scores).set_index(["method", "donor"])
    assert donors.loc[("comm", "a"), "sis"] == pytest.approx(0.1 / 0.5)
    assert donors.loc[("comm", "b"), "sis"] == pytest.approx(0.25 / 0.5)


def test_a_remark_on_the_data_set_follows_and_there_is_no_column_without_one(scores):
    plain, shares = sis_table(scores), sis_by_donor(scores)
    assert "remark" not in plain
    assert "remark" not in shares
    told = scores.assign(remark="blocks of a section")
    for table, expected in ((sis_table(told), plain), (sis_by_donor(told), shares)):
        assert set(table.pop("remark")) == {"blocks of a section"}
        pd.testing.assert_frame_equal(table, expected)
    both = pd.concat([told, scores.assign(dataset="other", remark="")])
    said = sis_table(both).groupby("dataset")["remark"].unique().map(list).to_dict()
    assert said == {"toy": ["blocks of a section"], "other": [""]}


def random_scores(seed):
    rng = np.random.default_rng(seed)
    donors = ["a", "b", "c", "d"]
    folds = {"a": ["0", "1"], "b": ["0"], "c": ["1"], "d": ["1"]}
    methods = ["image", "expression", "comm", "pca"]
    values = {m: {d: rng.uniform(0.1, 0.9, 3).tolist() for d in donors} for m in methods}
    other = {m: {d: rng.uniform(0.1, 0.9, 3).tolist() for d in donors} for m in methods}
    return pd.concat([tidy(values, folds=folds), tidy(other, metric="macro_f1", folds=folds)])


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_over_donors_of_the_shares_is_the_score(seed):
    scores = random_scores(seed)
    table = sis_table(scores)
    whole = table[table["fold"] == "all"].set_index(CASE)[["sis", "gain"]]
    shares = sis_by_donor(scores).groupby(CASE)[["sis", "gain"]].mean()
    assert len(whole) == 4
    pd.testing.assert_frame_equal(shares, whole, check_like=True)


def test_the_order_of_rows_changes_nothing():
    scores = random_scores(0)
    shuffled = scores.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(sis_table(shuffled), sis_table(scores))


def test_scores_are_one_fold_only_where_there_is_one(scores):
    assert sis_table(scores.assign(fold="0"))["fold"].tolist() == ["all", "all"]


def test_without_a_positive_unimodal_mean_the_score_is_nan_with_a_note():
    values = {"image": {"a": [-0.3]}, "expression": {"a": [-0.1]}, "comm": {"a": [0.2]}}
    for table in (sis_table(tidy(values)), sis_by_donor(tidy(values))):
        row = table.iloc[0]
        assert np.isnan(row["sis"])
        assert row["gain"] == pytest.approx(0.3)
        assert "no single expert is above chance" in row["note"]


def test_the_columns_stand_in_one_order():
    assert list(sis_table(random_scores(0))) == [
        "dataset", "method", "task", "metric", "probe", "fold", "score", "image_score",
        "expression_score", "best", "best_score", "gain", "gain_low", "gain_high", "p",
        "p_corrected", "alone_gain", "alone_low", "alone_high", "sis", "low", "high", "n_donors",
        "note",
    ]  # fmt: skip


def test_sections_of_one_donor_are_no_donors():
    values = {"image": 0.4, "expression": 0.5, "comm": 0.6}
    scores = tidy(
        {method: {"a": [value]} for method, value in values.items()},
        folds={"a": [f"section {i}" for i in range(6)]},
    )
    row = sis_table(scores).query("fold == 'all'").iloc[0]
    assert row["n_donors"] == 1
    assert row["note"].startswith("not testable: 1 donor, 5 needed (sections of one donor")
    assert row["sis"] == pytest.approx(0.2)
    assert row[INFERENCE_COLUMNS].isna().all()


def test_a_table_is_read_as_it_was_written(tmp_path, scores):
    table = sis_table(scores)
    table.loc[0, INFERENCE_COLUMNS] = 0.25
    table.to_csv(tmp_path / "toy.csv", index=False)
    pd.testing.assert_frame_equal(read_sis(tmp_path, "toy"), table)


def test_other_unimodal_methods_can_be_named(scores):
    table = sis_table(scores, unimodal=("image", "random"))
    assert set(table["best"]) == {"image"}
    assert set(table["method"]) == {"comm", "expression"}


def test_a_tie_goes_to_the_modality_named_first():
    values = {"image": {"a": [0.5]}, "expression": {"a": [0.5]}, "comm": {"a": [0.6]}}
    assert sis_table(tidy(values))["best"].tolist() == ["image"]


def test_columns_that_are_no_scores_are_left_out(scores):
    extra = scores.assign(metric="iterations", value=100.0)
    pd.testing.assert_frame_equal(sis_table(pd.concat([scores, extra])), sis_table(scores))


def test_a_method_without_some_task_has_no_row_for_it(scores):
    other = scores[scores["method"] != "random"].assign(task="region", metric="macro_f1")
    table = sis_table(pd.concat([scores, other]))
    assert table[table["task"] == "region"]["method"].unique().tolist() == ["comm"]


def test_a_missing_unimodal_method_is_refused(scores):
    with pytest.raises(ValueError, match="no method 'image'"):
        sis_table(scores[scores["method"] != "image"])
    other = scores[scores["method"] != "image"].assign(task="region")
    with pytest.raises(ValueError, match=r"'image' has none for .*task region"):
        sis_table(pd.concat([scores, other]))


def test_a_method_scored_on_fewer_donors_is_refused(scores):
    lacking = scores[(scores["method"] != "comm") | (scores["donor"] != "b")]
    with pytest.raises(ValueError, match=r"'comm' has none for .*donor b"):
        sis_table(lacking)


def write(folder, method, table):
    (folder / "toy").mkdir(exist_ok=True)
    table.to_csv(folder / "toy" / f"{method}.csv", index=False)


def test_files_are_read_with_their_names_as_text(tmp_path, scores):
    for method, table in scores.replace({"donor": {"a": "NA", "b": "01"}}).groupby("method"):
        write(tmp_path, method, table)
    result = read_scores(tmp_path, "toy")
    assert set(result["donor"]) == {"NA", "01"}
    assert set(result["fold"]) == {"0", "1"}
    assert sis_table(result)["sis"].tolist() == pytest.approx(sis_table(scores)["sis"].tolist())


def test_a_file_of_another_method_or_data_set_is_refused(tmp_path, scores):
    comm = scores[scores["method"] == "comm"]
    write(tmp_path, "vicreg", comm)
    with pytest.raises(ValueError, match=r"vicreg.csv: column 'method' contains 'comm'"):
        read_scores(tmp_path, "toy")
    write(tmp_path, "vicreg", comm.assign(method="vicreg", dataset="lung"))
    with pytest.raises(ValueError, match=r"vicreg.csv: column 'dataset' contains 'lung'"):
        read_scores(tmp_path, "toy")


def test_columns_of_a_fit_are_filled_in_its_first_row_alone(tmp_path):
    fit = ["method", "task", "metric", "fold", "seed"]
    whole = random_scores(0)
    whole["inner"] = whole.groupby(fit)["inner"].transform("first")
    once = whole.copy()
    once.loc[once.duplicated(fit), "inner"] = np.nan
    assert once["inner"].isna().any()
    (tmp_path / "toy").mkdir()
    for method, rows in once.groupby("method"):
        rows.to_csv(tmp_path / "toy" / f"{method}.csv", index=False)
    assert sis_table(read_scores(tmp_path, "toy"))["best"].tolist() == (
        sis_table(whole)["best"].tolist()
    )


def test_whose_tissue_a_unit_is_has_scores_and_no_sis(scores):
    told = scores[scores["metric"] == scores["metric"].iloc[0]].assign(task="donor")
    table = sis_table(pd.concat([scores, told], ignore_index=True))
    own = table[table["task"] == "donor"]
    assert len(own)
    assert own["score"].notna().all()
    assert own[["sis", *INFERENCE_COLUMNS]].isna().all(axis=None)
    assert (own["note"] == "whose tissue a unit is: a control, no task").all()
    assert table.loc[table["task"] != "donor", "sis"].notna().any()


def test_headline_rows_are_those_of_linear_probes_in_one_metric_per_task(scores):
    bits_of_numbers = scores.assign(metric="bits")  # scores have R2: a regression
    classes = scores.assign(task="region", metric="bits")
    f1, mlp = classes.assign(metric="macro_f1"), scores.assign(probe="mlp")
    donor = classes.assign(probe="linear, transductive", dataset="other")
    table = pd.concat([scores, bits_of_numbers, classes, f1, mlp, donor], ignore_index=True)
    rows = [len(scores) * part + row for part in (0, 2, 5) for row in range(len(scores))]
    pd.testing.assert_frame_equal(headline_rows(table), table.loc[rows])
    rows = [len(scores) * part + row for part in (0, 3) for row in range(len(scores))]
    pd.testing.assert_frame_equal(paper_rows(table), table.loc[rows])


def test_headline_rows_of_one_fold_leave_out_the_other_folds(scores):
    table = sis_table(scores)
    for select in (headline_rows, paper_rows):
        assert select(table, fold="all")["fold"].tolist() == ["all", "all"]
        assert len(select(table)) == len(table)


def test_stars_are_counted_beside_those_that_chance_gives():
    columns = ["dataset", "task", "metric", "probe", "method", "p_corrected"]
    table = pd.DataFrame(
        [
            ["lung", "region", "bits", "linear", "comm", 0.01],
            ["lung", "region", "bits", "linear", "cca", 0.05],
            ["lung", "region", "bits", "linear", "bilinear", 0.03],
            ["lung", "region", "bits", "mlp", "comm", 0.2],
            ["lung", "genes", "r2", "linear", "comm", 0.04],
            ["lung", "genes", "r2", "linear", "pca", np.nan],
            ["twin", "genes", "r2", "linear", "comm", np.nan],
            ["lung", "region", "macro_f1", "linear", "comm", np.nan],
        ],
        columns=columns,
    )
    stars, families, by_chance = chance_stars(table)
    assert (stars, families) == (3, 4)
    assert by_chance == pytest.approx(0.2)
    assert chance_stars(table.iloc[:0]) == (0, 0, 0)
