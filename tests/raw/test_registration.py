import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.raw.registration import apply_affine, fit_affine, nearest_within


def _rigid(points, degrees, shift):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return points @ turn + shift


def test_a_rigid_motion_is_recovered_and_extends_to_points_that_were_not_registered():
    rng = np.random.default_rng(0)
    known, new = rng.uniform(0, 1000, (12, 2)), rng.uniform(-500, 2000, (5, 2))
    affine = fit_affine(known, _rigid(known, 30, [7.0, -3.0]))
    np.testing.assert_allclose(apply_affine(affine, new), _rigid(new, 30, [7.0, -3.0]), atol=1e-9)


def test_points_on_a_line_fix_no_map():
    line = np.column_stack([np.arange(5.0), np.arange(5.0)])
    with pytest.raises(DataError, match="lie on one line"):
        fit_affine(line, line)


def test_the_nearest_reference_is_found_up_to_the_radius_and_not_beyond():
    reference = np.array([[0.0, 0.0], [10.0, 0.0]])
    points = np.array([[4.0, 0.0], [6.0, 0.0], [10.0, 5.0], [10.0, 5.1]])
    assert nearest_within(points, reference, 5.0).tolist() == [0, 1, 1, -1]
