"""Fractions are nested, drawn in every training donor, and never touch a test donor."""

from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from cell_synergy.studies.scaling.subsets import subsets


def test_fractions_of_a_draw_are_nested_and_equal_in_every_donor(paired, fold, settings):
    found = list(subsets(paired, fold, settings()))
    for draw in (0, 1):
        own = [subset for subset in found if subset.draw == draw and subset.fraction < 100]
        for small, large in pairwise(own):
            assert (small.drawn.probe <= large.drawn.probe).all()
    for subset in found:
        counts = [subset.drawn.probe[paired.donor == donor].sum() for donor in "ABC"]
        assert counts == [round(subset.fraction / 100 * 40)] * 3
        assert subset.pairs == subset.drawn.align.sum() == 2 * counts[0]


def test_the_whole_is_one_draw_of_everything(paired, fold, settings):
    *_, whole = subsets(paired, fold, settings())
    assert (whole.fraction, whole.draw) == (100, 0)
    assert (whole.drawn.align == fold.align).all()
    assert (whole.drawn.probe == fold.probe).all()


def test_draws_differ_and_depend_on_the_seed_alone(paired, fold, settings):
    one, again, other = (
        [subset.drawn.probe for subset in subsets(paired, fold, settings(seed=seed))]
        for seed in (0, 0, 1)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[2], one[3])  # the two draws of a quarter


def test_test_donors_are_scored_and_never_drawn(paired, fold, settings):
    for subset in subsets(paired, fold, settings()):
        for own in (subset.drawn, subset.labelled):
            assert (own.test == fold.test).all()
            assert not (own.test & (own.align | own.probe)).any()
        assert (subset.labelled.probe == fold.probe).all()
        assert (subset.labelled.align == subset.drawn.align).all()


@pytest.mark.parametrize("fractions", [[1, 10], [10, 5, 100], [0, 100], [10, 10, 100], [1, 200]])
def test_fractions_rise_to_the_whole(fractions, settings):
    with pytest.raises(ValidationError, match="rise from above 0 to 100"):
        settings(fractions=fractions)


def test_tasks_are_those_that_the_data_set_has(dataset, settings, capsys):
    assert list(settings().chosen(dataset.tasks, "tiny")) == ["region"]
    assert not settings(tasks=["layer"]).chosen(dataset.tasks, "tiny")
    assert not settings().chosen({}, "bare")
    said = capsys.readouterr().out
    assert "tiny: scaling.tasks names none of its tasks (region, composition, gene_panel)" in said
    assert "bare: it has no task; its scaling is left out" in said
