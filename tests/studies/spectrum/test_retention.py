"""What a joint embedding keeps, where it is known."""

import numpy as np
import pytest

from cell_synergy.studies.spectrum.correlations import Within
from cell_synergy.studies.spectrum.retention import EXPRESSION, IMAGE, SHARED, Reader, targets
from cell_synergy.studies.spectrum.tabulate import shared


@pytest.fixture(scope="module")
def found(tissue, settings):
    (fold,) = tissue.folds
    image, expression = tissue.standardised(fold)
    every = Within.of(image, expression, tissue.donor)
    return shared(every.some(np.flatnonzero(fold.align)), settings, fold)


@pytest.fixture(scope="module")
def kept(tissue, settings, probe, found):
    """Return the mean share over test donors of what an embedding keeps."""
    (fold,) = tissue.folds
    image, expression = tissue.standardised(fold)
    every = Within.of(image, expression, tissue.donor)
    reader = Reader(tissue, fold, targets(found, every, settings.axes), probe)

    def mean(z):
        shares = reader.kept(z.astype(np.float32), {})
        return {name: np.mean(list(values.values())) for name, values in shares.items()}

    return mean


@pytest.fixture(scope="module")
def sides(tissue):
    return tissue.standardised(tissue.folds[0])


def test_the_two_shared_directions_are_found(found):
    assert found.correlations == pytest.approx([0.97, 0.97], abs=0.02)


def test_both_embeddings_keep_everything(kept, sides):
    shares = kept(np.concatenate(sides, axis=1))
    assert min(shares.values()) > 0.98


def test_one_embedding_keeps_what_is_shared_and_its_own(kept, sides):
    image, expression = (kept(x) for x in sides)
    assert min(image[SHARED], expression[SHARED]) > 0.9
    assert min(image[IMAGE], expression[EXPRESSION]) > 0.98
    assert max(image[EXPRESSION], expression[IMAGE]) < 0.05


def test_the_variates_keep_what_is_shared_and_nothing_else(kept, found, sides):
    shares = kept(found.variates(*sides))
    assert shares[SHARED] > 0.98
    assert max(shares[IMAGE], shares[EXPRESSION]) < 0.05


def test_noise_keeps_nothing_and_donors_do_not_count(kept, tissue):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((len(tissue.donor), 6))
    told = 5 * (tissue.donor[:, None] == np.unique(tissue.donor)) + 1e-3 * noise[:, :1]
    assert max(map(abs, kept(noise).values())) < 0.06
    assert max(map(abs, kept(told).values())) < 0.06


def test_without_a_direction_only_what_is_unique_is_asked(tissue, settings, found):
    image, expression = tissue.standardised(tissue.folds[0])
    every = Within.of(image, expression, tissue.donor)
    none = type(found)(found.correlations[:0], found.image[:, :0], found.expression[:, :0])
    wanted = targets(none, every, settings.axes)
    assert set(wanted) == {IMAGE, EXPRESSION}
    leading = wanted[IMAGE].values
    assert leading.shape == (len(tissue.donor), settings.axes)
    assert leading.var() * settings.axes == pytest.approx(every.image.var() * 12, rel=0.05)
