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


def test_groups_partition_the_methods_in_their_order():
    listed = [*METHODS, "bilinear", "a_new_one", *CONTROLS, *PAIRED]
    assert style.groups([*reversed(listed), *UNIMODAL]) == {
        "the paper's methods": METHODS,
        "beyond the paper": ["bilinear", "a_new_one"],
        "controls": list(CONTROLS),
        "one expert twice": PAIRED,
    }
    assert list(style.groups(["mine"])) == ["beyond the paper"]


def test_a_figure_of_few_curves_has_all_fusion_methods_and_some_controls():
    fusion = [*METHODS, "bilinear", "a_new_one"]
    few = ["shuffled", "random", "pca"]
    chosen = style.selection([*fusion, *CONTROLS, *PAIRED, *UNIMODAL], "simclr")
    assert chosen == [*fusion, *few, "simclr_image", "simclr_expression"]


def test_tasks_go_from_redundant_to_synergistic_and_unlisted_ones_come_last():
    tasks = ["mine", "niche", "cell_type", "matched_niche", "yours"]
    assert style.task_order(tasks) == ["cell_type", "matched_niche", "niche", "mine", "yours"]
    assert style.task_name("expression_state") == "expression state"
    assert style.task_name("of_somebody") == "of somebody"


def test_titles_say_what_is_simulated_and_for_what():
    assert style.title("lung", True, "no synergy") == "lung (simulated): no synergy"
    assert style.title("lung", True) == "lung (simulated)"
    assert style.title("her2st", False) == "her2st"


def test_controls_are_grey_and_self_paired_ones_in_a_grey_of_their_own():
    tones = {name: style.colour(name, "comm") for name in [*METHODS, *UNIMODAL, *CONTROLS, *PAIRED]}
    assert {tones[name] for name in CONTROLS} == {style.CONTROL}
    assert {tones[name] for name in PAIRED} == {style.SELF_PAIRED}
    assert (tones["comm"], tones["image"]) == (style.FOCUS, style.IMAGE)
    assert {tones[name] for name in tones if not is_control(name)}.isdisjoint(
        {style.CONTROL, style.SELF_PAIRED}
    )
    assert len({style.CONTROL, style.SELF_PAIRED}) == 2


def test_concatenation_and_methods_beyond_the_paper_stand_out_from_the_paper_s_others():
    assert style.colour("concat", "comm") == style.colour("concat_full", "comm") == style.BASELINE
    assert style.colour("bilinear", "comm") == style.colour("mine", "comm") == style.BEYOND
    assert style.colour("comm", "simclr") == style.colour("cca", "comm") == style.PLAIN
    assert style.colour("mine", "mine") == style.FOCUS
