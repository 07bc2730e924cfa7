"""The order, names and colours of methods in figures."""

import numpy as np

from cell_synergy import models
from cell_synergy.core.names import CONTROLS, UNIMODAL, is_control
from cell_synergy.figures import style

METHODS = ["concat", "simclr", "comm"]
PAIRED = ["simclr_image", "simclr_expression", "comm_image", "comm_expression"]


def test_methods_come_first_then_controls_and_self_paired_controls_last():
    listed = [*METHODS, "a_new_one", *CONTROLS, *PAIRED, "a_new_one_image"]
    mixed = np.random.default_rng(0).permutation([*listed, *UNIMODAL]).tolist()
    assert style.order(mixed) == listed


def test_a_self_paired_control_needs_no_row_of_its_method():
    assert style.order(["comm_image", "byol"]) == ["byol", "comm_image"]


def test_every_method_of_the_study_has_a_name_and_no_two_the_same():
    shown = [style.METHOD_NAMES[name] for name in models.names()]
    assert len({*shown}) == len(shown)
    assert max(map(len, shown)) <= 26
    assert style.METHOD_NAMES["comm_image"] == "CoMM, image twice"
    assert style.METHOD_NAMES["byol_expression"] == "BYOL, expression twice"


def test_controls_are_grey_and_self_paired_ones_in_a_grey_of_their_own():
    tones = {name: style.colour(name, "comm") for name in [*METHODS, *UNIMODAL, *CONTROLS, *PAIRED]}
    assert {tones[name] for name in CONTROLS} == {style.CONTROL}
    assert {tones[name] for name in PAIRED} == {style.SELF_PAIRED}
    assert (tones["comm"], tones["image"]) == (style.FOCUS, style.IMAGE)
    assert {tones[name] for name in tones if not is_control(name)}.isdisjoint(
        {style.CONTROL, style.SELF_PAIRED}
    )
    assert len({style.CONTROL, style.SELF_PAIRED}) == 2
