"""Scores and SIS told apart, controls, losses, and results of few donors."""

import math

import pandas as pd
import pytest

from cell_synergy.sis import (
    analyze_synergy_patterns,
    compute_sis,
    compute_sis_all_models,
    get_sis_ranking,
    print_sis_summary,
)

ONE_SCORE = "not testable (1 score, 5 needed)"


PLAIN = {"Unimodal GEX": {"R2": 0.5}, "Unimodal IMG": {"R2": 0.4}, "Multimodal X": {"R2": 0.6}}


def test_plain_numbers_beside_a_unimodal_model_are_scores(capsys):
    assert compute_sis_all_models(PLAIN) == {"Multimodal X": {"R2": pytest.approx(0.2)}}
    ranking = get_sis_ranking(PLAIN, "R2")
    assert [name for name, _ in ranking] == ["Multimodal X"]
    assert ranking[0][1] == pytest.approx(0.2)
    assert analyze_synergy_patterns(PLAIN)["best"].tolist() == pytest.approx([0.2])
    print_sis_summary(PLAIN)
    printed = capsys.readouterr().out
    print_sis_summary(PLAIN, "Multimodal X")
    assert capsys.readouterr().out == printed
    assert printed.splitlines()[1:] == [
        "Multimodal X",
        f"  R2         +0.2000  High        absolute gain +0.1000  {ONE_SCORE}",
    ]
    renamed = {name.removeprefix("Unimodal "): scores for name, scores in PLAIN.items()}
    assert get_sis_ranking(renamed, "R2", "GEX", "IMG") == get_sis_ranking(PLAIN, "R2")


def test_one_unimodal_model_makes_numbers_scores_and_the_other_is_missing():
    partial = {name: scores for name, scores in PLAIN.items() if name != "Unimodal IMG"}
    with pytest.raises(ValueError, match="no model 'Unimodal IMG' in the results"):
        get_sis_ranking(partial, "R2")


def test_numbers_that_may_be_scores_or_sis_are_refused():
    unknown = {"rna": {"R2": 0.5}, "he": {"R2": 0.4}, "Multimodal X": {"R2": 0.6}}
    message = "^rna: its numbers may be scores or SIS; .*gex_key and img_key.*'Multimodal'$"
    for refuses in (print_sis_summary, analyze_synergy_patterns, get_sis_ranking):
        with pytest.raises(ValueError, match=message):
            refuses(unknown)


def test_sis_of_any_name_are_sis_if_they_were_computed(results):
    computed = {"mine": compute_sis(results, "Multimodal A")}
    assert get_sis_ranking(computed, "R2") == [("mine", computed["mine"]["R2"])]


def test_a_negative_sis_is_called_a_loss(results, capsys):
    print_sis_summary(results, "Multimodal B")
    assert "  F1 Macro   -0.2000  Low (loss)  absolute gain -0.1500" in capsys.readouterr().out
    print_sis_summary({"Multimodal A": {"R2": 0.0}})
    assert "loss" not in capsys.readouterr().out
    given = {"a": -0.1, "b": 0.0, "c": 0.05, "d": math.nan}
    table = analyze_synergy_patterns({f"Multimodal {k}": {"R2": v} for k, v in given.items()})
    assert table[["low", "loss", "undefined"]].iloc[0].tolist() == [2, 1, 1]


@pytest.fixture
def with_controls(results):
    """The same with two controls, which would be first and last."""
    first, last = {"F1 Macro": [0.99], "R2": [0.9]}, {"F1 Macro": [0.1], "R2": [0.1]}
    return {"Multimodal comm_image": first, "Multimodal pca": last} | results


def test_controls_are_listed_apart_and_neither_ranked_nor_counted(results, with_controls, capsys):
    for given in (with_controls, compute_sis_all_models(with_controls)):
        assert get_sis_ranking(given, "R2") == get_sis_ranking(results, "R2")
        pd.testing.assert_frame_equal(
            analyze_synergy_patterns(given), analyze_synergy_patterns(results)
        )
        print_sis_summary(given)
        lines = capsys.readouterr().out.splitlines()
        names = [line for line in lines if not line.startswith("  ")]
        methods = [f"Multimodal {name}" for name in "ABC"]
        controls = ["Multimodal comm_image", "Multimodal pca"]
        assert names[1:] == [*methods, "Controls", *controls]
        print_sis_summary(given, "Multimodal pca")
        assert capsys.readouterr().out.splitlines()[1:3] == ["Controls", "Multimodal pca"]
    assert "Multimodal comm_image" in compute_sis_all_models(with_controls)


def test_controls_alone_have_no_ranking(with_controls):
    alone = {name: sis for name, sis in with_controls.items() if name[-1] not in "ABC"}
    with pytest.raises(ValueError, match=r"only controls have the metric 'R2' \(.*_image, .*pca\)"):
        get_sis_ranking(alone, "R2")
    assert analyze_synergy_patterns(alone).empty


@pytest.mark.parametrize(
    ("n_scores", "note"), [(4, "  not testable (4 scores, 5 needed)"), (5, "")]
)
def test_too_few_scores_are_not_testable(n_scores, note, capsys):
    rows = {"Unimodal GEX": 0.5, "Unimodal IMG": 0.4, "Multimodal A": 0.6}
    print_sis_summary({name: {"R2": [value] * n_scores} for name, value in rows.items()})
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"  R2         +0.2000  High        absolute gain +0.1000{note}"


def test_the_shortest_list_counts(results):
    results["Multimodal A"]["R2"] = [0.7] * 8
    assert compute_sis(results, "Multimodal A").note["R2"] == ONE_SCORE
