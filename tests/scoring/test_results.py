"""The study's scores in the layout of the published functions."""

import pandas as pd
import pytest

from cell_synergy.scoring.results import load_all_results
from cell_synergy.sis import compute_sis


def write_scores(folder, method, shift, *, seeds=(0, 1), donors=("d1", "d2"), probe="linear"):
    rows = [
        [
            "toy",
            method,
            task,
            metric,
            probe,
            0,
            donor,
            seed,
            base + shift + 0.01 * seed,
            10,
            shift,
            0,
            1,
        ]
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
    table = pd.DataFrame(rows, columns=[*columns, "n", "inner", "chance", "entropy"])
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


def test_donors_not_scores_decide_whether_a_gain_can_be_tested(folder):
    results = load_all_results(folder, "toy")
    assert len(results["Multimodal comm"]["R2"]) == 4
    note = compute_sis(results, "Multimodal comm").note["R2"]
    assert note == "not testable (2 donors, 5 needed)"
    donors = [f"d{i}" for i in range(5)]
    for method, shift in (("image", 0.0), ("expression", 0.1), ("comm", 0.2)):
        write_scores(folder, method, shift, donors=donors)
    assert compute_sis(load_all_results(folder, "toy"), "Multimodal comm").note["R2"] == ""


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


def test_transductive_scores_are_found_under_the_probe_s_own_name(folder):
    before = load_all_results(folder, "toy")
    for method, shift in (("image", 0.0), ("expression", 0.1), ("comm", 0.2)):
        write_scores(folder, method, shift, probe="linear, transductive")
    assert load_all_results(folder, "toy") == before


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
