import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.raw.sections.coordinates import drop_outside_image, spatial_coords

SIZE = (200, 100)
MPP = 0.5
RNG = np.random.default_rng(0)
INSIDE = RNG.uniform(0, 1, (100, 2)) * SIZE


def table(pixels):
    pixels = np.asarray(pixels, dtype=np.float64)
    names = [f"u{i}" for i in range(len(pixels))]
    result = ad.AnnData(
        sparse.csr_matrix(np.arange(len(pixels), dtype=np.float32)[:, None]),
        obs=pd.DataFrame(index=names),
    )
    result.obsm["spatial"] = pixels * MPP
    return result


def test_what_lies_inside_or_on_the_border_stays_as_it_is():
    given = table([*INSIDE, (0, 0), SIZE])
    result, coverage = drop_outside_image(given, MPP, SIZE, "spots", "S1")
    assert result is given
    assert (coverage.n_measured, coverage.n_outside) == (102, 0)
    coverage.require(1e-9, "S1")


@pytest.mark.parametrize("place", [(-1, 50), (50, -1), (201, 50), (50, 101), (1e9, 1e9)])
@pytest.mark.parametrize("what", ["spots", "cells", "observations"])
def test_a_few_outside_are_dropped_and_counted(place, what, capsys):
    result, coverage = drop_outside_image(table([place, *INSIDE]), MPP, SIZE, what, "S1")
    assert result.obs_names.tolist() == [f"u{i}" for i in range(1, 101)]
    np.testing.assert_array_equal(result.X.toarray()[:, 0], np.arange(1, 101))
    assert (coverage.n_measured, coverage.n_outside) == (101, 1)
    assert f"S1: 1 of 101 {what} lie outside the image, dropped" in capsys.readouterr().out
    coverage.require(0.05, "S1")


@pytest.mark.parametrize(
    ("what", "allowed"), [("spots", False), ("observations", False), ("cells", True)]
)
def test_more_may_lie_outside_of_cells_alone(what, allowed):
    some = np.vstack([INSIDE, INSIDE[:20] + np.array([300, 0])])
    _, coverage = drop_outside_image(table(some), MPP, SIZE, what, "S1")
    if allowed:
        coverage.require(0.05, "S1")
        return
    message = rf"S1: 20 of 120 {what} lie outside the image of 200 x 100 pixels .*more than 5%"
    with pytest.raises(DataError, match=message):
        coverage.require(0.05, "S1")


@pytest.mark.parametrize("what", ["spots", "cells", "observations"])
def test_more_than_half_outside_are_refused_of_everything(what):
    with pytest.raises(DataError, match=r"60 of 100 .* more than 50% .*are not of one section"):
        drop_outside_image(
            table(INSIDE + np.where(np.arange(100) < 60, 300, 0)[:, None]), MPP, SIZE, what, ""
        )


TALL = RNG.uniform(0, 1, (100, 2)) * (100, 200)  # right in an image of 100 x 200
CAUSES = {
    "with x and y swapped all would lie inside: swap the two columns": TALL,
    "with y turned upside down all would lie inside: count y downwards": INSIDE * [1, -1],
    "with x mirrored all would lie inside: count x to the right": INSIDE * [-1, 1],
    "another scale, or the coordinates are not pixels of this image": INSIDE * 4,
}


@pytest.mark.parametrize("cause", CAUSES)
def test_a_likely_cause_is_named(cause):
    with pytest.raises(DataError, match=cause):
        drop_outside_image(table(CAUSES[cause]), MPP, SIZE, "spots", "S1")[1].require(0.05, "S1")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_missing_places_are_called_so_and_not_outside(value):
    pixels = INSIDE.copy()
    pixels[[3, 5], 0] = value
    with pytest.raises(DataError, match=r"S1: obsm\['spatial'\] is not finite for 2 .*'u3'"):
        drop_outside_image(table(pixels), MPP, SIZE, "cells", "S1")
    with pytest.raises(DataError, match="is not finite for 2"):
        spatial_coords(table(pixels), "S1")


@pytest.mark.parametrize("what", ["spots", "cells"])
def test_a_tenth_outside_is_too_many_if_turning_the_places_over_mends_it(what):
    turned = INSIDE[np.argsort(INSIDE[:, 0])][:, ::-1]  # (y, x) of an image of 200 x 100
    pixels = np.vstack([turned[:45], turned[-5:]])
    _, coverage = drop_outside_image(table(pixels), MPP, SIZE, what, "S1")
    assert (coverage.n_measured, coverage.n_outside) == (50, 5)
    with pytest.raises(DataError, match=r"5 of 50 .* with x and y swapped all would lie inside"):
        coverage.require(0.05, "S1")


def test_cells_beyond_a_smaller_scan_stay_allowed():
    pixels = np.vstack([INSIDE[:80], INSIDE[:20] + np.array([300, 10])])
    result, coverage = drop_outside_image(table(pixels), MPP, SIZE, "cells", "S1")
    coverage.require(0.05, "S1")
    assert result.n_obs == 80
