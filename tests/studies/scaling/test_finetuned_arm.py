"""The expert tuned on subsets: the null beside it, test donors untouched."""

from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pandas as pd
import pytest

from cell_synergy import models
from cell_synergy.core.resume.part_store import PartStore
from cell_synergy.finetuning.finetune import with_frozen_embedding
from cell_synergy.finetuning.tuning import Finetuner
from cell_synergy.studies.scaling import ALL_LABELS, DRAWN_LABELS, PRIOR, TUNED, subsampled_method
from cell_synergy.studies.scaling.finetuned_arm import scale
from cell_synergy.studies.scaling.subsampled_method import FitConfig, SubsampledMethod
from cell_synergy.studies.scaling.subset_evaluator import table
from tests.finetuning import small


@pytest.fixture
def scores(units, dataset, probe, settings, tmp_path):
    def made(units=units, known=None, **changes):
        tuning = small.settings(**({"rounds": 2, "how": "last"} | changes))
        expert = small.nicheformer(np.asarray(units.X.todense()))
        paired = with_frozen_embedding(expert, units, dataset, tuning)
        study = settings(fractions=[5, 50, 100], draws=1)
        tasks = study.chosen(dataset.tasks, "tiny")
        known = known or PartStore(Path(mkdtemp(dir=tmp_path)))
        rows = list(scale(expert, paired, tasks, tuning, probe, study, known))
        return table(rows, paired.adata, "tiny")

    return made


def fits(scores):
    """Return what says how a fit went, without what test units say."""
    kept = scores[scores["strength"].notna()]
    columns = ["method", "task", "labels", "fraction", "inner", "strength", "gradient_norm"]
    return kept[columns].drop_duplicates(ignore_index=True)


def test_test_donors_change_nothing_that_is_learnt(scores, units):
    other, test = units.copy(), (units.obs["donor"] == "D").to_numpy()
    counts = np.asarray(other.X.todense())
    counts[test] = counts[test][:, ::-1]
    other.X = type(units.X)(counts)
    codes = other.obs["region"].cat.codes.to_numpy().copy()
    codes[test] = (codes[test] + 1) % 3
    other.obs["region"] = pd.Categorical.from_codes(codes, units.obs["region"].cat.categories)
    one, two = scores(), scores(units=other)
    pd.testing.assert_frame_equal(fits(one), fits(two))
    known = one["note"] == ""
    assert (one.loc[known, "value"] != two.loc[known, "value"]).any()


def test_the_arms_are_the_tuned_expert_and_the_null(scores):
    found = scores()
    known = found[found["note"] == ""]
    assert set(known["method"]) == {TUNED, PRIOR}
    probes = known.groupby("method")["probe"].unique().map(tuple).to_dict()
    assert probes == {TUNED: ("fine-tuned",), PRIOR: ("linear",)}
    assert set(found.loc[found["note"] != "", "fraction"]) == {5}
    null = known[(known["method"] == PRIOR) & (known["metric"] == "bits")]
    assert null["value"].abs().max() < 1e-6
    whole = known[(known["fraction"] == 100) & (known["method"] == TUNED)]
    drawn, every = (
        whole.loc[whole["labels"] == w, "value"].to_numpy() for w in (DRAWN_LABELS, ALL_LABELS)
    )
    assert np.array_equal(drawn, every)
    half = known[(known["fraction"] == 50) & (known["method"] == TUNED)]
    assert dict(half.groupby("labels")["labelled"].first()) == {DRAWN_LABELS: 60, ALL_LABELS: 120}


def test_the_head_alone_scores_as_the_frozen_expression_expert(
    scores, units, dataset, probe, settings, tmp_path
):
    tuned = scores(how="linear")
    expert = small.nicheformer(np.asarray(units.X.todense()))
    frozen = with_frozen_embedding(expert, units, dataset, small.settings(how="linear"))
    method, training = models.load("expression", {}), {"batch_size": 8, "max_epochs": 1}
    fit = FitConfig(axes="none", seed=0, held=0.1)
    arm = SubsampledMethod(method, frozen, training, fit, 1, tmp_path)
    study = settings(fractions=[5, 50, 100], draws=1)
    rows = subsampled_method.scale("expression", arm, dataset, probe, study, PartStore(tmp_path))
    both = [tuned[tuned["method"] == TUNED], table(list(rows), units, "tiny")]
    key = ["task", "donor", "fraction", "pairs", "labelled", "n"]
    one, two = (
        scored[(scored["metric"] == "macro_f1") & (scored["labels"] == DRAWN_LABELS)]
        for scored in both
    )
    assert one[key].to_numpy().tolist() == two[key].to_numpy().tolist()
    np.testing.assert_allclose(one["value"], two["value"], atol=0.1)


def test_equal_inputs_give_equal_bytes(scores):
    assert scores().to_csv() == scores().to_csv()


def test_what_was_scored_before_a_kill_is_not_tuned_again(scores, tmp_path, monkeypatch):
    expected = scores().to_csv()
    run = Finetuner.run
    tuned: list[int] = []
    stop = 1

    def counted(self, **options):
        if len(tuned) == stop:
            raise KeyboardInterrupt
        tuned.append(1)
        return run(self, **options)

    monkeypatch.setattr(Finetuner, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        scores(known=PartStore(tmp_path))
    stop = 9
    assert scores(known=PartStore(tmp_path)).to_csv() == expected
    assert len(tuned) == 2  # half of the pairs before, the whole after
