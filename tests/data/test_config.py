import datetime as dt

import pytest
from ruamel.yaml import YAML

from cell_synergy.core.config import validate
from cell_synergy.core.errors import ConfigError
from cell_synergy.data.config import ClassificationTask, DatasetConfig, GenePanelTask


def _refused(dataset, message, **changes):
    with pytest.raises(ConfigError, match=message):
        validate(DatasetConfig, {**dataset().model_dump(exclude_none=True), **changes}, "data.lab")


def test_a_task_is_of_the_kind_that_it_names(dataset):
    panel = {"kind": "gene_panel", "genes": 5}
    tasks = dataset(tasks={**dataset().model_dump()["tasks"], "panel": panel}).tasks
    assert tasks["region"] == ClassificationTask(
        kind="classification", exclude=("fold",), circular=False
    )
    assert tasks["panel"] == GenePanelTask(kind="gene_panel", genes=5)


def test_an_unknown_kind_of_task_is_refused_with_the_valid_ones(dataset):
    message = r"data\.lab\.tasks\.x: .*'classes'.*'classification', 'composition', 'gene_panel'"
    _refused(dataset, message, tasks={"x": {"kind": "classes"}})


@pytest.mark.parametrize(
    ("split", "role"),
    [("holdout", "study"), ("leave-one-donor-out", "test"), ("leave-one-section-out", "train")],
)
def test_a_role_that_the_split_does_not_know_is_refused(dataset, split, role):
    _refused(dataset, rf"split '{split}' has the roles .*, not \['{role}'\]",
             split=split, roles={role: "A"})  # fmt: skip


def test_a_donor_has_one_role(dataset):
    _refused(dataset, r"\['A'\] are listed twice", roles={"study": "A, B", "reference": "A"})


@pytest.mark.parametrize("names", ["A,,B", "A,", ["A", True], dt.date(2020, 1, 2), None])
def test_donors_stand_in_one_line_or_in_a_list(dataset, names):
    _refused(dataset, r"data\.lab\.roles\.study: .*comma", roles={"study": names})
    assert dataset(roles={"study": " A 1 ,B", "reference": 3}).roles == {
        "study": ("A 1", "B"),
        "reference": ("3",),
    }


@pytest.mark.parametrize(
    ("text", "donors"),
    [
        ("1, 2", ("1", "2")),
        ("[1, 2]", ("1", "2")),
        ("1.0, 2.0", ("1", "2")),
        ("[1.0, 2]", ("1", "2")),
        ("1.5", ("1.5",)),
        ("[P4, 'P 5 ', ' P  6']", ("P4", "P 5", "P 6")),
        ("'01'", ("01",)),
        ('["Smith, J.", B]', ("Smith, J.", "B")),
        ("Cafe\u0301", ("Caf\u00e9",)),
    ],
)
def test_donors_are_called_as_the_data_call_them(dataset, text, donors):
    read = YAML(typ="safe").load(f"study: {text}")
    asked = dataset(roles=read)
    assert asked.roles == {"study": donors}
    assert set(asked.role_of) == set(donors)


@pytest.mark.parametrize("name", ["nan", "NA", "None", "<NA>"])
def test_a_missing_value_is_no_donor(dataset, name):
    _refused(
        dataset, rf"roles\.study: .*'{name}' stands for a missing value", roles={"study": [name]}
    )


@pytest.mark.parametrize(("one", "other"), [("P4", "p4"), ("P 4", "P4"), ("P4", " P4 ")])
def test_a_donor_under_two_spellings_is_refused(dataset, one, other):
    message = "differ in blanks or capitals alone|one role for a donor, but .'P4'. are listed twice"
    _refused(dataset, message, roles={"study": ["A", one], "reference": other})


def test_the_sections_of_donors_may_be_numbers(dataset):
    block = {"units": "spots", "donors": {1: "S1, S2", 2.0: [3, 4]}}
    asked = dataset(sections=block, roles={"study": 1, "reference": "2"})
    assert asked.sections.donor_of(()) == {"S1": "1", "S2": "1", "3": "2", "4": "2"}
    twice = {"units": "spots", "donors": {"P4": "S1", "P4 ": "S2"}}
    _refused(dataset, r"sections.donors: .*\['P4'\] are listed twice", sections=twice, roles={})
    alike = {"units": "spots", "donors": {"P4": "S1", "p4": "S2"}}
    _refused(dataset, "sections.donors: .*'P4' and 'p4' differ", sections=alike, roles={})


def test_labels_that_are_excluded_are_spelt_as_the_data_have_them():
    read = YAML(typ="safe").load("[{kind: classification, exclude: [1.0, 2]}]")[0]
    assert ClassificationTask.model_validate(read).exclude == ("1", "2")
    for given in ("fold,  no  tissue", ["fold", "no tissue", "nan"]):
        spec = {"kind": "classification", "exclude": given}
        assert ClassificationTask.model_validate(spec).exclude == ("fold", "no tissue")


@pytest.mark.parametrize("name", ["donor", "all", "section", "block", "a/b", ".hidden", "a\nb"])
def test_a_task_needs_a_name_of_its_own(dataset, name):
    _refused(dataset, "no task can be called", tasks={name: {"kind": "classification"}})


BLOCKS = {"split": "leave-one-block-out", "blocks": 4, "gap_um": 112.0, "roles": {"study": "A"}}


def test_blocks_and_their_split_go_together(dataset):
    asked = dataset(**BLOCKS)
    assert (asked.group, asked.named) == ("block", "donor")
    for key in ("blocks", "gap_um"):
        _refused(dataset, f"'leave-one-block-out' and the key '{key}' go together",
                 **{k: v for k, v in BLOCKS.items() if k != key})  # fmt: skip
        _refused(dataset, f"the key '{key}' go together", **{key: BLOCKS[key]})
    _refused(dataset, "'gap_um' must be at least 'unit_um', 50", **BLOCKS | {"gap_um": 20.0})
    _refused(dataset, r"blocks: .*greater than or equal to 2", **BLOCKS | {"blocks": 1})
    _refused(dataset, r"has the roles .*, not \['test'\]", **BLOCKS | {"roles": {"test": "A"}})


def test_a_misspelt_role_is_refused(dataset):
    _refused(
        dataset,
        r"data\.lab\.roles\.refrence.*: .*'reference'.* got 'refrence'",
        roles={"refrence": "A"},
    )


@pytest.mark.parametrize("source", ["simulator", "folder"])
def test_a_source_and_what_it_needs_go_together(dataset, source):
    _refused(dataset, f"source '{source}' and .* '{source}' go together", source=source)


def test_a_folder_without_that_source_is_refused(dataset):
    _refused(dataset, "go together", folder="tissue")
    assert dataset(source="folder", folder="tissue").folder == "tissue"


def test_a_split_over_sections_groups_by_section_and_all_others_by_donor(dataset):
    assert dataset(split="leave-one-section-out").group == "section"
    assert dataset().group == "donor"
    assert dataset(split="holdout", roles={"train": "A", "test": "B"}).group == "donor"


def test_lengths_must_be_positive(dataset):
    _refused(dataset, r"data\.lab\.unit_um: .*greater than 0, got 0", unit_um=0)


SECTIONS = {
    "units": "patches", "least": 5, "keep_cells": True,
    "donors": {"A": "S1, S2", "B": "S3", "R": "S4"},
}  # fmt: skip


def test_sections_belong_to_donors(dataset):
    asked = dataset(sections=SECTIONS)
    assert asked.sections.donor_of(["S9"]) == {"S1": "A", "S2": "A", "S3": "B", "S4": "R"}
    sections = {"split": "leave-one-section-out", "roles": {"study": "S1, S3", "reference": "S4"}}
    assert dataset(sections=SECTIONS, **sections).role_of["S3"] == "study"
    _refused(dataset, r"names \['C'\], which 'sections\.donors' does not",
             sections=SECTIONS, roles={"study": "A, C", "reference": "R"})  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"donors": {"A": "S1", "B": "S1"}}, r"one donor for a section, but \['S1'\] are listed"),
        ({"units": "patch"}, r"sections\.units: .*'spots', 'cells' or 'patches'"),
        ({"units": "spots"}, r"units 'patches' and the key 'least' go together"),
        ({"least": None}, r"units 'patches' and the key 'least' go together"),
        ({"keep_cells": None}, r"units 'patches' and the key 'keep_cells' go together"),
        (
            {"units": "spots", "least": None, "keep_cells": None, "origin_um": 5.0},
            r"'origin_um' needs units 'patches'",
        ),
        ({"composition": "shares.csv"}, r"'composition' needs units 'spots' or 'cells'"),
        ({"cell_type": "type"}, r"'cell_type' needs 'labels', and units 'patches'"),
        ({"donor": {}}, r"sections\.donor: unknown parameter \(did you mean 'donors'"),
    ],
)
def test_a_mistake_in_the_block_of_sections_is_named(dataset, change, message):
    _refused(dataset, message, sections=SECTIONS | change)


def test_the_hub_needs_a_folder_and_sections(dataset):
    hub = {"repo": "owner/name", "revision": "abc"}
    _refused(dataset, "source 'hub' and the block 'hub' go together", hub=hub)
    _refused(dataset, "source 'hub' and the block 'hub' go together", source="hub")
    _refused(dataset, "source 'hub' needs the key 'folder'", source="hub", hub=hub)
    without = {**SECTIONS, "donors": None}
    for found in ({"source": "hub", "hub": hub, "folder": "hest"}, {"reader": "hest"}):
        _refused(dataset, "HEST-1k need the key 'sections.donors'", sections=without, **found)
    asked = dataset(source="hub", hub=hub, folder="hest", sections=SECTIONS)
    assert asked.hub.revision == "abc"
