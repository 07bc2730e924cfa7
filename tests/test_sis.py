"""The score on numbers worked out by hand, and every way in which it must refuse to answer."""

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cell_synergy import sis
from cell_synergy.sis import (
    SIS,
    analyze_synergy_patterns,
    compute_sis,
    compute_sis_all_models,
    get_sis_ranking,
    level,
    print_sis_summary,
    set_RESULTS,
)

ONE_SCORE = "not testable (1 score, 5 needed)"


def test_the_published_example_is_reproduced(results):
    score = compute_sis(results, "Multimodal A")
    assert score["F1 Macro"] == pytest.approx(0.07 / 0.75)
    assert round(score["F1 Macro"], 4) == 0.0933
    assert round(score["R2"], 4) == 0.1029
    assert score.gain == pytest.approx({"F1 Macro": 0.07, "R2": 0.07})


def test_the_better_modality_is_chosen_for_each_metric(results):
    results["Unimodal IMG"]["R2"] = [0.80]
    score = compute_sis(results, "Multimodal A")
    assert score == pytest.approx({"F1 Macro": 0.07 / 0.75, "R2": -0.05 / 0.80})


def test_other_names_of_the_unimodal_models_are_accepted(results):
    renamed = {"rna": results["Unimodal GEX"], "he": results["Unimodal IMG"]}
    renamed["Multimodal A"] = results["Multimodal A"]
    assert compute_sis(renamed, "Multimodal A", "rna", "he") == compute_sis(results, "Multimodal A")


@pytest.mark.parametrize("model", ["Unimodal GEX", "Unimodal IMG", "Multimodal A"])
def test_a_metric_absent_from_one_model_is_skipped(results, model):
    del results[model]["R2"]
    assert list(compute_sis(results, "Multimodal A")) == ["F1 Macro"]


def test_models_without_a_metric_in_common_have_no_score(results, capsys):
    results["Unimodal IMG"] = {"Accuracy": [0.9]}
    assert compute_sis(results, "Multimodal A") == {}
    print_sis_summary(results, "Multimodal A")
    assert capsys.readouterr().out.splitlines()[1:] == ["Multimodal A"]
    with pytest.raises(ValueError, match="no model has the metric 'R2'"):
        get_sis_ranking(results, "R2")


NESTED = "scores are nested; give one list of numbers"
NO_SCORES = [
    ([], "the list of scores is empty; leave the metric out"),
    (np.zeros(0), "the list of scores is empty; leave the metric out"),
    ([0.5, math.nan], r"a score is not finite \(\[0.5, nan\]\)"),
    ([math.inf], r"a score is not finite \(\[inf\]\)"),
    (math.nan, r"a score is not finite \(\[nan\]\)"),
    ("0.5", "'0.5' is no score; give a number, or one list of numbers"),
    (["0.5", 0.6], "'0.5' is no score; give a number, or one list of numbers"),
    (None, "None is no score; give a number, or one list of numbers"),
    ([0.5, None], "None is no score; give a number, or one list of numbers"),
    (True, "True is no score; give a number, or one list of numbers"),
    ([0.5, np.True_], ".*True.* is no score; give a number, or one list of numbers"),
    ({"mean": 0.5}, "{'mean': 0.5} is no score; give a number, or one list of numbers"),
    ([[0.5, 0.6], [0.7, 0.8]], NESTED),
    ([[0.5], 0.6], NESTED),
    (np.zeros((2, 2)), NESTED),
    ([np.zeros((2, 2)), np.zeros((2, 3))], NESTED),
    ([np.zeros(30), 0.5], NESTED),
    ([[[0.5], [0.6, 0.7]], 0.5], NESTED),
    (pd.DataFrame({"a": [0.5], "b": [0.6]}), NESTED),
]


@pytest.mark.parametrize(("scores", "message"), NO_SCORES)
@pytest.mark.parametrize("model", ["Unimodal GEX", "Unimodal IMG", "Multimodal A"])
def test_scores_that_are_no_numbers_are_refused_by_name(results, model, scores, message):
    results[model]["R2"] = scores
    functions = (compute_sis_all_models, print_sis_summary, get_sis_ranking)
    for refuses in (*functions, analyze_synergy_patterns):
        with pytest.raises(ValueError, match=f"^{model}, R2: {message}$"):
            refuses(results)


@pytest.mark.parametrize(
    "scores",
    [
        (0.7, 0.8), np.array([0.7, 0.8], np.float32), pd.Series([0.7, 0.8]),
        pd.Series([0.7, 0.8], dtype="Float64"), np.float64(0.75), [np.float32(0.75)], 0.75,
    ],
    ids=lambda scores: type(scores).__name__,
)  # fmt: skip
def test_numbers_in_any_container_are_scores(results, scores):
    expected = compute_sis(results, "Multimodal A")["R2"]
    results["Multimodal A"]["R2"] = scores
    assert compute_sis(results, "Multimodal A")["R2"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([0.5], "results are of type list; give a dictionary"),
        (None, "results are of type NoneType; give a dictionary"),
        ({"Multimodal A": 0.5}, r"Multimodal A: 0.5 is not {metric: \[score, ...\]}"),
        ({"Multimodal A": None}, r"Multimodal A: empty is not {metric: \[score, ...\]}"),
        ({1: {"R2": [0.5]}}, "a model is named 1; name it with a text"),
    ],
)
@pytest.mark.usefixtures("any_shape")
def test_results_that_are_no_metrics_by_model_are_refused(results, message):
    functions = (compute_sis_all_models, print_sis_summary, get_sis_ranking)
    for refuses in (*functions, analyze_synergy_patterns, set_RESULTS):
        with pytest.raises(ValueError, match=message):
            refuses(results)


def test_an_unknown_model_is_refused_with_the_nearest_name(results):
    with pytest.raises(ValueError, match=r"'Multimodal Aa'.*did you mean 'Multimodal A'.*GEX"):
        compute_sis(results, "Multimodal Aa")
    with pytest.raises(ValueError, match=r"no model 'Unimodal RNA'"):
        compute_sis(results, "Multimodal A", gex_key="Unimodal RNA")


@pytest.mark.parametrize(
    ("best", "shown"),
    [
        (0.0, r"0, which is not positive, .*absolute: \+0.75"),
        (-0.2, r"-0.2, which is not positive, .*absolute: \+0.95"),
        (1e-300, r"1e-300, which is zero but for rounding, .*absolute: \+0.75"),
        (9e-7, r"9e-07, which is zero but for rounding, .*absolute: \+0.75"),
    ],
)
def test_without_a_positive_unimodal_score_there_is_a_gain_but_no_ratio(results, best, shown):
    results["Unimodal GEX"]["R2"] = results["Unimodal IMG"]["R2"] = [best]
    message = rf"^Multimodal A, R2: the best unimodal score is {shown}\)$"
    with pytest.warns(UserWarning, match=message):
        score = compute_sis(results, "Multimodal A")
    assert math.isnan(score["R2"])
    assert score.gain["R2"] == pytest.approx(0.75 - best)
    assert score["F1 Macro"] == pytest.approx(0.07 / 0.75)


def test_of_a_negative_and_a_positive_modality_the_positive_one_is_the_reference(results):
    results["Unimodal IMG"]["R2"] = [-2.0]
    assert compute_sis(results, "Multimodal A")["R2"] == pytest.approx(0.07 / 0.68)


def test_a_negative_score_of_the_model_is_a_loss_of_more_than_all(results):
    results["Multimodal A"]["R2"] = [-0.34]
    score = compute_sis(results, "Multimodal A")
    assert (score["R2"], score.gain["R2"]) == pytest.approx((-1.5, -1.02))


def test_ties_gain_nothing_whichever_modality_is_called_better(results):
    results["Unimodal IMG"] = results["Multimodal A"] = results["Unimodal GEX"]
    assert compute_sis(results, "Multimodal A") == {"F1 Macro": 0, "R2": 0}
    assert level(compute_sis(results, "Multimodal A")["R2"]) == "Low"


def test_models_that_tie_keep_their_order(results):
    results["Multimodal B"] = results["Multimodal A"]
    assert [name for name, _ in get_sis_ranking(results, "R2")] == ["Multimodal A", "Multimodal B"]
    assert analyze_synergy_patterns(results)["best_model"].tolist() == ["Multimodal A"] * 2


def test_one_donor_has_a_score(results):
    assert compute_sis(results, "Multimodal B") == pytest.approx(
        {"F1 Macro": -0.15 / 0.75, "R2": 0.02 / 0.68}
    )


def test_where_all_units_are_of_one_class_nobody_gains(results):
    one_class = {name: {"F1 Macro": [1.0]} for name in results}
    for scores in compute_sis_all_models(one_class).values():
        assert (scores, scores.gain) == ({"F1 Macro": 0}, {"F1 Macro": 0})


def test_all_models_are_those_called_multimodal(results):
    summary = compute_sis_all_models(results)
    assert list(summary) == ["Multimodal A", "Multimodal B", "Multimodal C"]
    assert summary["Multimodal B"] == compute_sis(results, "Multimodal B")
    with pytest.raises(ValueError, match="no model is named 'Multimodal'"):
        compute_sis_all_models({"Unimodal GEX": {}, "Unimodal IMG": {}})


@pytest.mark.parametrize(
    ("score", "name"),
    [
        (0.1001, "High"),
        (0.1, "Moderate"),
        (0.0001, "Moderate"),
        (0.0, "Low"),
        (-1.0, "Low"),
        (math.nan, "Undefined"),
    ],
)
def test_levels_have_their_published_edges(score, name):
    assert level(score) == name


def test_the_summary_prints_the_same_from_scores_and_from_computed_sis(results, capsys):
    print_sis_summary(results)
    raw = capsys.readouterr().out
    print_sis_summary(compute_sis_all_models(results))
    assert capsys.readouterr().out == raw
    assert raw.splitlines()[:4] == [
        "Synergistic Information Score (SIS)",
        "Multimodal A",
        f"  F1 Macro   +0.0933  Moderate    absolute gain +0.0700  {ONE_SCORE}",
        f"  R2         +0.1029  High        absolute gain +0.0700  {ONE_SCORE}",
    ]


def test_the_summary_of_one_model_prints_that_model(results, capsys):
    for given in (results, compute_sis_all_models(results)):
        print_sis_summary(given, "Multimodal C")
        assert capsys.readouterr().out.splitlines()[1:] == [
            "Multimodal C",
            f"  F1 Macro   +0.0133  Moderate    absolute gain +0.0100  {ONE_SCORE}",
        ]
        with pytest.raises(ValueError, match="'Multimodal D'"):
            print_sis_summary(given, "Multimodal D")


def test_a_summary_of_plain_dictionaries_prints_without_gains(capsys):
    print_sis_summary({"Multimodal A": {"R2": 0.25}})
    assert capsys.readouterr().out.splitlines()[2] == "  R2         +0.2500  High"


def test_the_ranking_descends_and_ends_with_nan(results):
    assert [name for name, _ in get_sis_ranking(results)] == [f"Multimodal {x}" for x in "ACB"]
    summary = compute_sis_all_models(results)
    assert [name for name, _ in get_sis_ranking(summary, "R2")] == ["Multimodal A", "Multimodal B"]
    scores = {"a": math.nan, "b": -0.1, "c": 0.3}
    given = {f"Multimodal {name}": {"R2": score} for name, score in scores.items()}
    assert [name[-1] for name, _ in get_sis_ranking(given, "R2")] == ["c", "b", "a"]
    with pytest.raises(ValueError, match=r"'F1 macro'.*did you mean 'F1 Macro'"):
        get_sis_ranking(results, "F1 macro")


def test_patterns_count_the_levels_of_every_metric(results):
    table = analyze_synergy_patterns(results).set_index("metric")
    f1 = table.loc["F1 Macro"]
    assert f1["mean"] == pytest.approx(np.mean([0.07, -0.15, 0.01]) / 0.75)
    assert (f1["n_models"], f1["best_model"]) == (3, "Multimodal A")
    levels = ["high", "moderate", "low", "undefined"]
    assert list(f1[levels]) == [0, 2, 1, 0]
    assert list(table.loc["R2", levels]) == [1, 1, 0, 0]
    none = analyze_synergy_patterns({"Multimodal A": {"R2": math.nan}})
    assert none[["best_model", "undefined"]].iloc[0].tolist() == ["", 1]
    assert math.isnan(none["mean"].iloc[0])


def test_sis_looks_models_up_in_the_results_that_were_set(results):
    set_RESULTS({})
    with pytest.raises(ValueError, match=r"set_RESULTS.*load_all_results"):
        SIS("Multimodal A")
    set_RESULTS(results)
    assert SIS("Multimodal A") == compute_sis(results, "Multimodal A")
    set_RESULTS({})


def test_the_module_needs_neither_torch_nor_dvc():
    code = f"import sys, {sis.__name__}; print({{'torch', 'dvc', 'anndata'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
