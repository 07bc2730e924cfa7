"""What a joint embedding keeps, where it is known."""

import numpy as np
import pytest

from cell_synergy.studies.spectrum.correlations import CentredPairs
from cell_synergy.studies.spectrum.retention import (
    EXPRESSION,
    IMAGE,
    SHARED,
    RetentionProbe,
    retention_targets,
)
from cell_synergy.studies.spectrum.tabulate import shared


@pytest.fixture(scope="module")
def result(paired, settings):
    (fold,) = paired.folds
    image, expression = paired.standardised(fold)
    every = CentredPairs.of(image, expression, paired.donor)
    return shared(every.subset(np.flatnonzero(fold.align)), settings, fold)


@pytest.fixture(scope="module")
def kept(paired, settings, probe, result):
    """Return the mean share over test donors of what an embedding keeps."""
    (fold,) = paired.folds
    image, expression = paired.standardised(fold)
    every = CentredPairs.of(image, expression, paired.donor)
    probe_of_targets = RetentionProbe(
        paired, fold, retention_targets(result, every, settings.axes), probe
    )

    def mean(z):
        shares = probe_of_targets.explained(z.astype(np.float32), {})
        return {name: np.mean(list(values.values())) for name, values in shares.items()}

    return mean


@pytest.fixture(scope="module")
def sides(paired):
    return paired.standardised(paired.folds[0])


def test_the_two_shared_directions_are_found(result):
    assert result.correlations == pytest.approx([0.97, 0.97], abs=0.02)


def test_both_embeddings_keep_everything(kept, sides):
    shares = kept(np.concatenate(sides, axis=1))
    assert min(shares.values()) > 0.98


def test_one_embedding_keeps_what_is_shared_and_its_own(kept, sides):
    image, expression = (kept(x) for x in sides)
    assert min(image[SHARED], expression[SHARED]) > 0.9
    assert min(image[IMAGE], expression[EXPRESSION]) > 0.98
    assert max(image[EXPRESSION], expression[IMAGE]) < 0.05


def test_the_variates_keep_what_is_shared_and_nothing_else(kept, result, sides):
    shares = kept(result.variates(*sides))
    assert shares[SHARED] > 0.98
    assert max(shares[IMAGE], shares[EXPRESSION]) < 0.05


def test_noise_keeps_nothing_and_donors_do_not_count(kept, paired):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((len(paired.donor), 6))
    told = 5 * (paired.donor[:, None] == np.unique(paired.donor)) + 1e-3 * noise[:, :1]
    assert max(map(abs, kept(noise).values())) < 0.06
    assert max(map(abs, kept(told).values())) < 0.06


def test_without_a_direction_only_what_is_unique_is_asked(paired, settings, result):
    image, expression = paired.standardised(paired.folds[0])
    every = CentredPairs.of(image, expression, paired.donor)
    none = type(result)(result.correlations[:0], result.image[:, :0], result.expression[:, :0])
    wanted = retention_targets(none, every, settings.axes)
    assert set(wanted) == {IMAGE, EXPRESSION}
    leading = wanted[IMAGE].values
    assert leading.shape == (len(paired.donor), settings.axes)
    assert leading.var() * settings.axes == pytest.approx(every.image.var() * 12, rel=0.05)
