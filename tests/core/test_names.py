"""Groups of methods: the paper's ten, controls, single experts, and what goes beyond the paper."""

import pytest

from cell_synergy import models
from cell_synergy.core.names import CONTROLS, PAPER_METHODS, UNIMODAL, is_control, method_group


def test_every_method_of_the_study_is_of_one_group():
    groups: dict[str, set[str]] = {}
    for name in models.names():
        groups.setdefault(method_group(name), set()).add(name)
    assert groups["paper"] == {*PAPER_METHODS}
    assert len(PAPER_METHODS) == 10
    assert groups["expert"] == {*UNIMODAL}
    assert groups["beyond the paper"] == {
        "bilinear",
        "bilinear_full",
        "comm_products",
        "concat_full",
    }
    assert groups["control"] == {name for name in models.names() if is_control(name)}
    assert groups["control"] > {*CONTROLS, "bilinear_image", "bilinear_expression"}


@pytest.mark.parametrize(
    ("name", "group"),
    [("softcca", "beyond the paper"), ("softcca_image", "control"), ("image", "expert")],
)
def test_a_users_method_is_beyond_the_paper_and_its_control_a_control(name, group):
    assert method_group(name) == group
