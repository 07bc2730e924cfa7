"""The score on numbers worked out by hand, and every way in which it must refuse to answer."""

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cell_synergy import sis
from cell_synergy.results import load_all_results
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


@pytest.fixture
def results():
    """The example of the published README, with a model that loses and one that has F1 only."""
    return {
        "Unimodal GEX": {"F1 Macro": [0.75], "R2": [0.68]},
        "Unimodal IMG": {"F1 Macro": [0.70, 0.74], "R2": [0.65]},
        "Multimodal A": {"F1 Macro": [0.80, 0.84], "R2": [0.75]},
        "Multimodal B": {"F1 Macro": [0.60], "R2": [0.70]},
        "Multimodal C": {"F1 Macro": [0.76]},
    }


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


@pytest.mark.parametrize("scores", [[], [0.5, math.nan], [math.inf]])
@pytest.mark.parametrize("model", ["Unimodal GEX", "Unimodal IMG", "Multimodal A"])
def test_scores_that_are_no_numbers_are_refused_by_name(results, model, scores):
    results[model]["R2"] = scores
    with pytest.raises(ValueError, match=rf"{model}, R2: .*(empty|not finite)"):
        compute_sis(results, "Multimodal A")


def test_an_unknown_model_is_refused_with_the_nearest_name(results):
    with pytest.raises(ValueError, match=r"'Multimodal Aa'.*did you mean 'Multimodal A'.*GEX"):
        compute_sis(results, "Multimodal Aa")
    with pytest.raises(ValueError, match=r"no model 'Unimodal RNA'"):
        compute_sis(results, "Multimodal A", gex_key="Unimodal RNA")


@pytest.mark.parametrize("best", [0.0, -0.2])
def test_without_a_positive_unimodal_score_there_is_a_gain_but_no_ratio(results, best):
    results["Unimodal GEX"]["R2"] = results["Unimodal IMG"]["R2"] = [best]
    with pytest.warns(UserWarning, match=r"Multimodal A, R2: .*not positive"):
        score = compute_sis(results, "Multimodal A")
    assert math.isnan(score["R2"])
    assert score.gain["R2"] == pytest.approx(0.75 - best)
    assert score["F1 Macro"] == pytest.approx(0.07 / 0.75)


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
        "  F1 Macro   +0.0933  Moderate   absolute gain +0.0700",
        "  R2         +0.1029  High       absolute gain +0.0700",
    ]


def test_the_summary_of_one_model_prints_that_model(results, capsys):
    for given in (results, compute_sis_all_models(results)):
        print_sis_summary(given, "Multimodal C")
        assert capsys.readouterr().out.splitlines()[1:] == [
            "Multimodal C",
            "  F1 Macro   +0.0133  Moderate   absolute gain +0.0100",
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
    given = {"a": {"R2": math.nan}, "b": {"R2": -0.1}, "c": {"R2": 0.3}}
    assert [name for name, _ in get_sis_ranking(given, "R2")] == ["c", "b", "a"]
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


def write_scores(folder, method, shift, *, seeds=(0, 1), donors=("d1", "d2"), probe="linear"):
    rows = [
        ["toy", method, task, metric, probe, 0, donor, seed, base + shift + 0.01 * seed, 10, shift]
        for task, metric, base in (
            ("region", "macro_f1", 0.5),
            ("niche", "macro_f1", 0.3),
            ("region", "accuracy", 0.9),
            ("composition", "r2", 0.2),
        )
        for donor in donors
        for seed in seeds
    ]
    columns = ["dataset", "method", "task", "metric", "probe", "fold", "donor", "seed", "value"]
    (folder / "toy").mkdir(exist_ok=True)
    table = pd.DataFrame(rows, columns=[*columns, "n", "inner"])
    table.to_csv(folder / "toy" / f"{method}.csv", index=False)


@pytest.fixture
def folder(tmp_path):
    for method, shift in (("image", 0.0), ("expression", 0.1), ("comm", 0.2)):
        write_scores(tmp_path, method, shift)
    return tmp_path


def test_the_study_s_scores_load_into_the_published_layout(folder):
    results = load_all_results(folder, "toy")
    assert set(results) == {"Unimodal IMG", "Unimodal GEX", "Multimodal comm"}
    assert results["Unimodal IMG"]["F1 Macro"] == pytest.approx([0.40, 0.41, 0.40, 0.41])
    assert results["Multimodal comm"]["R2"] == pytest.approx([0.40, 0.41, 0.40, 0.41])
    one = load_all_results(folder, "toy", task="region")
    assert list(one["Unimodal GEX"]) == ["F1 Macro"]
    assert one["Unimodal GEX"]["F1 Macro"] == pytest.approx([0.60, 0.61, 0.60, 0.61])
    assert compute_sis(results, "Multimodal comm")["R2"] == pytest.approx(0.1 / 0.305)


def test_the_order_of_rows_in_a_file_does_not_matter(folder):
    before = load_all_results(folder, "toy")
    path = folder / "toy" / "comm.csv"
    pd.read_csv(path).iloc[::-1].to_csv(path, index=False)
    assert load_all_results(folder, "toy") == before


def test_scores_that_are_not_there_are_refused_with_the_remedy(folder):
    with pytest.raises(FileNotFoundError, match=r"(?s)did you mean 'toy'.*dvc pull.*dvc repro"):
        load_all_results(folder, "toi")


def test_a_choice_that_is_not_there_is_refused(folder):
    with pytest.raises(ValueError, match=r"no task 'regio'.*did you mean 'region'"):
        load_all_results(folder, "toy", task="regio")
    with pytest.raises(ValueError, match=r"no probe 'mlp'.*linear"):
        load_all_results(folder, "toy", probe="mlp")
    write_scores(folder, "comm", 0.2, probe="mlp")
    with pytest.raises(ValueError, match=r"choose one probe of linear, mlp"):
        load_all_results(folder, "toy")


def test_methods_scored_on_other_donors_or_seeds_are_refused(folder):
    write_scores(folder, "comm", 0.2, donors=("d1",))
    with pytest.raises(ValueError, match=r"'comm' has none for donor d2, seed 0"):
        load_all_results(folder, "toy")
    write_scores(folder, "comm", 0.2, seeds=(0, 2))
    with pytest.raises(ValueError, match=r"'comm' has none for donor d1, seed 1"):
        load_all_results(folder, "toy")


def test_a_method_without_randomness_stands_for_every_seed(folder):
    full = load_all_results(folder, "toy")
    write_scores(folder, "image", 0.2, seeds=(0,))
    results = load_all_results(folder, "toy")
    lengths = {len(scores) for model in results.values() for scores in model.values()}
    assert lengths == {len(full["Unimodal IMG"]["F1 Macro"])}


def test_the_module_needs_neither_torch_nor_dvc():
    code = f"import sys, {sis.__name__}; print({{'torch', 'dvc', 'anndata'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
