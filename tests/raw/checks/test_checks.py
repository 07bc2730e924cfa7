"""What params.yaml and the data contradict each other in: all of it, once, with the remedy."""

import re

import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.raw.checks.joined_pairs import StageRequirements
from cell_synergy.raw.checks.problems import Problems
from tests.raw.checks.conftest import GENES, REGION

SPLIT = {"kind": "leave-one-block-out", "blocks": 4, "gap_um": 50.0}
BLOCKS = {"split": SPLIT, "roles": {"study": ["A"]}}


def test_all_problems_are_reported_at_once(refused, three):
    roles = {"study": ["A", "X"], "reference": ["R", "Y"]}
    tasks = {"layer": {"kind": "classification"}, "mix": {"kind": "composition"}, **REGION}
    messages = refused(
        three, roles=roles, tasks=tasks, needs=StageRequirements(24, 100, 0.1, images=True)
    )
    expected = [
        r"no donor 'X' in the data",
        r"no donor 'Y' in the data",
        r"needs at least two donors to score \(an interval five donors\).*found \['A'\].*block-out",
        r"no obs column 'layer'",
        r"task 'mix' needs obsm\['cell_type_ratio'\]",
        r"task 'region': 0 class\(es\) with 4 observations in 2 donors",
        r"no image of section A1",
    ]
    assert len(messages) == len(expected)
    for sentence, pattern in zip(messages, expected, strict=True):
        assert re.search(pattern, sentence), sentence


def test_one_problem_is_one_message():
    problems = Problems("lab")
    problems.raise_if_any()
    problems.add(["a", "a"])
    with pytest.raises(DataError, match=r"^a$"):
        problems.raise_if_any()
    problems.add(["b"])
    with pytest.raises(DataError, match=r"lab: .* for 2 reasons:\n  1. a\n  2. b$"):
        problems.raise_if_any()


@pytest.mark.parametrize(
    ("roles", "result", "hint"),
    [
        ({"study": ["1", "B"], "reference": ["R"]}, "01", "did you mean '01'? write it in quotes"),
        (
            {"study": ["a", "B"], "reference": ["R"]},
            "A",
            "did you mean 'A'? blanks and capitals count",
        ),
        ({"study": ["A B", "B"], "reference": ["R"]}, "AB", "did you mean 'AB'?"),
    ],
)
def test_a_role_that_nobody_has_is_refused_with_the_nearest(refused, section, roles, result, hint):
    sections = [section(f"{d}1", d, GENES) for d in (result, "B", "R")]
    assert any(hint in sentence for sentence in refused(sections, roles=roles))


def test_donors_as_yaml_numbers_are_those_of_the_data(build, section):
    sections = [section(name, donor, GENES) for name, donor in zip("xyz", "123", strict=True)]
    study, reference = build(sections, roles={"study": [1, 2.0], "reference": [3]})
    assert set(study.obs["donor"]) == {"1", "2"}
    assert set(reference.obs["donor"]) == {"3"}


@pytest.mark.parametrize("other", ["a", "A "])
def test_a_donor_under_two_spellings_in_two_files_is_refused(refused, three, section, other):
    messages = refused([*three, section("A9", other, GENES)])
    assert any("differ in blanks or capitals alone" in sentence for sentence in messages)


@pytest.mark.parametrize("name", ["a/b", "all", ".x", "a\\b", "a" * 101])
def test_a_donor_whose_name_no_file_can_have_is_refused(refused, three, section, name):
    messages = refused([*three, section("X1", name, GENES)], roles={
        "study": ["A", "B", name], "reference": ["R"]})  # fmt: skip
    assert messages == [f"lab: donor {name!r} cannot name a file; rename it"]


def test_a_section_that_occurs_twice_is_refused(refused, three, section):
    messages = refused([*three, section("A1", "A", GENES)])
    assert messages[0] == "lab: section 'A1' occurs twice; rename one"


def test_the_name_of_a_donor_without_a_role_does_not_matter(build, three, section):
    assert build([*three, section("X1", "a/b", GENES)])[0].n_obs == 48


def test_holdout_without_its_roles_is_told(refused, three):
    messages = refused(three, split="holdout", roles={"probe": ["A", "B"], "reference": ["R"]})
    assert [re.findall(r"role '(\w+)' and found none", one) for one in messages] == [
        ["train"], ["test"],
    ]  # fmt: skip


def test_a_missing_reference_names_what_can_be_had(refused, three):
    (messages,) = refused(three[:2], roles={"study": ["A", "B"]})
    assert "no section of a reference donor; check data.lab.roles" in messages
    assert "`split: {kind: leave-one-block-out" in messages


def test_two_animals_with_two_sections_each_are_told_what_can_be_had(refused, build, strip):
    four = [strip(name, name[0]) for name in ("A1", "A2", "B1", "B2")]
    roles = {"study": ["A1", "B1", "A2"], "reference": ["B2"]}
    (messages,) = refused(four, split="leave-one-section-out", roles=roles)
    assert "donor 'A', who has 2 sections, on both sides; use 'leave-one-donor-out'" in messages
    assert "`split: {kind: leave-one-block-out" in messages
    study, reference = build(four, **BLOCKS | {"roles": {"study": ["A", "B"]}})
    assert study.obs["block"].nunique() == 4 * 3
    assert sorted(reference.obs["block"].unique()) == [f"{s}-block1" for s in
                                                       ("A1", "A2", "B1", "B2")]  # fmt: skip
    assert not set(study.obs_names) & set(reference.obs_names)


def test_blocks_lie_a_gap_apart_and_the_pairs_say_so(build, strip, capsys):
    study, reference = build([strip()], **BLOCKS | {"split": SPLIT | {"gap_um": 100.0}})
    x = {
        name: own.obsm["spatial"][:, 0]
        for name, own in (
            (block, study[study.obs["block"] == block]) for block in study.obs["block"].unique()
        )
    }
    assert min(x["A1-block3"]) - max(x["A1-block2"]) >= 100
    assert min(x["A1-block2"]) - max(reference.obsm["spatial"][:, 0]) >= 100
    assert "observations dropped in the gaps of 100 um between 4 blocks" in capsys.readouterr().out
    assert study.uns["remark"] == (
        "split into blocks of a section, 100 um apart: nothing about other donors; the reference, "
        "on which experts are fitted, is the first block of each section"
    )


def test_gaps_that_leave_nothing_of_a_block_are_refused(refused, strip):
    for gap, missing in ((400.0, "A1-block2, A1-block3"), (2000.0, "A1-block1, A1-block2, A1-")):
        messages = refused([strip()], **BLOCKS | {"split": SPLIT | {"gap_um": gap}})
        assert messages[0].startswith(f"lab: the gaps leave no observation of {missing}")
        assert "lower data.lab.split.gap_um or data.lab.split.blocks" in messages[0]
        assert not any("no section" in sentence for sentence in messages)


def test_one_scored_block_is_refused(refused, strip):
    (messages, rare) = refused([strip()], **BLOCKS | {"split": SPLIT | {"blocks": 2}})
    assert "needs two blocks beside the reference, found ['A1-block2']: raise `blocks`" in messages
    assert "0 class(es) with 4 observations in 2 blocks" in rare


def test_cells_follow_their_blocks(build, strip):
    from tests.raw.test_build import _with_cells  # noqa: PLC0415 - one helper

    study, reference = build([_with_cells(strip())], **BLOCKS)
    for table in (study, reference):
        cells = table.uns["cells"]
        assert len(cells["unit"]) == 2 * table.n_obs
        sums = [cells["counts"][cells["unit"] == row].sum() for row in range(table.n_obs)]
        np.testing.assert_array_equal(sums, np.asarray(table.X.sum(axis=1)).ravel())


def test_a_reference_section_of_a_scored_donor_is_remarked(build, section):
    sections = [section(name, owner, GENES) for name, owner in
                (("A1", "A"), ("A2", "A"), ("B1", "B"))]  # fmt: skip
    roles = {"study": ["A1", "B1"], "reference": ["A2"]}
    study, _ = build(sections, split="leave-one-section-out", roles=roles)
    assert study.uns["remark"] == "reference section A2 of donor A, who is also scored"


def test_without_anything_to_say_there_is_no_remark(build, three):
    assert "remark" not in build(three)[0].uns


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (StageRequirements(0, 24, 0.0, images=False), None),
        (StageRequirements(0, 22, 0.1, images=False), None),
        (StageRequirements(0, 23, 0.1, images=False), r"22 training pairs .*batch_size: 23"),
        (StageRequirements(0, 0, 0.0, images=True), "no image of section A1, B1, which"),
    ],
)  # fmt: skip
def test_what_later_stages_need_is_asked_of_the_pairs(build, refused, three, needs, message):
    if message is None:
        assert build(three, needs=needs)[0].n_obs == 48
    else:
        (messages,) = refused(three, needs=needs)
        assert re.search(message, messages)


@pytest.mark.parametrize(("components", "said"), [(23, False), (24, True)])
def test_an_expert_that_cannot_be_fitted_is_said_as_soon_as_pairs_are_made(
    build, three, capsys, components, said
):
    assert build(three, needs=StageRequirements(components, 0, 0.0, images=False))[0].n_obs == 48
    line = "fits 24 components, which needs more reference observations (24) and genes (40)"
    assert (line in capsys.readouterr().out) == said


def test_panel_genes_do_not_count_for_the_expert(build, three, capsys):
    tasks = {"panel": {"kind": "gene_panel", "genes": 20}}
    build(three, tasks=tasks, needs=StageRequirements(20, 0, 0.0, images=False))
    assert "(24) and genes (20)" in capsys.readouterr().out


def test_an_impossible_panel_is_told_with_the_rest(refused, three):
    tasks = {"panel": {"kind": "gene_panel", "genes": 50}, "layer": {"kind": "classification"}}
    messages = refused(three, tasks=tasks)
    assert len(messages) == 2
    assert "the gene panel has 50 genes" in messages[0]
    assert "no obs column 'layer'" in messages[1]
