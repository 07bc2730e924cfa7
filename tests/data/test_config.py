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
    assert tasks["region"] == ClassificationTask(kind="classification", exclude=("fold",))
    assert tasks["panel"] == GenePanelTask(kind="gene_panel", genes=5)


def test_an_unknown_kind_of_task_is_refused_with_the_valid_ones(dataset):
    message = (
        r"data\.lab\.tasks\.x\.kind: no 'classes'; valid: classification, composition, gene_panel"
    )
    _refused(dataset, message, tasks={"x": {"kind": "classes"}})


@pytest.mark.parametrize(
    ("split", "role"),
    [("holdout", "study"), ("leave-one-donor-out", "test"), ("leave-one-section-out", "train")],
)
def test_a_role_that_the_split_does_not_know_is_refused(dataset, split, role):
    _refused(dataset, rf"split '{split}' has the roles .*, not \['{role}'\]",
             split=split, roles={role: ["A"]})  # fmt: skip


def test_a_donor_has_one_role(dataset):
    _refused(dataset, r"\['A'\] are listed twice", roles={"study": ["A", "B"], "reference": ["A"]})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("P1, P2", r"write a list, \[P1, P2\], got 'P1, P2'"),
        ("P1,", r"write a list, \[P1\]"),
        (3, r"write a list, \[3\]"),
        (dt.date(2020, 1, 2), r"write a list, \[2020-01-02\]"),
        (None, r"write a list, \[A, B\], got empty"),
        (["A", True], "a list has names or numbers; .*in quotes"),
        (["A", dt.date(2020, 1, 2)], "a list has names or numbers; .*in quotes"),
        (["A", " "], "a name in the list is empty"),
    ],
)
def test_donors_are_a_list(dataset, names, message):
    _refused(dataset, rf"data\.lab\.roles\.study: {message}", roles={"study": names})
    assert dataset(roles={"study": [" A 1 ", "B"], "reference": [3]}).roles == {
        "study": ("A 1", "B"),
        "reference": ("3",),
    }


@pytest.mark.parametrize(
    ("text", "donors"),
    [
        ("[1, 2]", ("1", "2")),
        ("[1.0, 2]", ("1", "2")),
        ("[1.5]", ("1.5",)),
        ("[P4, 'P 5 ', ' P  6']", ("P4", "P 5", "P 6")),
        ("['01']", ("01",)),
        ('["Smith, J.", B]', ("Smith, J.", "B")),
        ("[Cafe\u0301]", ("Caf\u00e9",)),
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
    _refused(dataset, message, roles={"study": ["A", one], "reference": [other]})


def test_the_sections_of_donors_may_be_numbers(dataset):
    block = {"kind": "visium", "units": "spots"}
    numbers = block | {"donors": {1: ["S1", "S2"], 2.0: [3, 4]}}
    asked = dataset(reader=numbers, roles={"study": [1], "reference": ["2"]})
    assert asked.sections.donor_of(()) == {"S1": "1", "S2": "1", "3": "2", "4": "2"}
    twice = block | {"donors": {"P4": ["S1"], "P4 ": ["S2"]}}
    _refused(dataset, r"reader.donors: .*\['P4'\] are listed twice", reader=twice, roles={})
    alike = block | {"donors": {"P4": ["S1"], "p4": ["S2"]}}
    _refused(dataset, "reader.donors: .*'P4' and 'p4' differ", reader=alike, roles={})


def test_labels_that_are_excluded_are_spelt_as_the_data_have_them():
    read = YAML(typ="safe").load("[{kind: classification, exclude: [1.0, 2]}]")[0]
    assert ClassificationTask.model_validate(read).exclude == ("1", "2")
    spec = {"kind": "classification", "exclude": ["fold", " no  tissue", "nan"]}
    assert ClassificationTask.model_validate(spec).exclude == ("fold", "no tissue")


@pytest.mark.parametrize("name", ["donor", "all", "section", "block", "a/b", ".hidden", "a\nb"])
def test_a_task_needs_a_name_of_its_own(dataset, name):
    _refused(dataset, "no task can be called", tasks={name: {"kind": "classification"}})


BLOCKS = {"kind": "leave-one-block-out", "blocks": 4, "gap_um": 112.0}


def test_a_split_into_blocks_has_their_number_and_the_gap(dataset):
    asked, roles = dataset(split=BLOCKS, roles={"study": ["A"]}), {"study": ["A"]}
    assert (asked.group, asked.grouping) == ("block", "donor")
    assert asked.block_split.blocks == 4
    for key in ("blocks", "gap_um"):
        _refused(dataset, rf"data\.lab\.split\.{key}: missing", roles=roles,
                 split={k: v for k, v in BLOCKS.items() if k != key})  # fmt: skip
        _refused(dataset, rf"data\.lab\.split\.{key}: unknown parameter",
                 split={"kind": "holdout", key: BLOCKS[key]})  # fmt: skip
    _refused(dataset, r"data\.lab\.split\.blocks: missing", split="leave-one-block-out")
    _refused(dataset, "'split.gap_um' must be at least 'unit_um', 50", roles=roles,
             split=BLOCKS | {"gap_um": 20.0})  # fmt: skip
    _refused(dataset, r"split\.blocks: .*greater than or equal to 2", split=BLOCKS | {"blocks": 1})
    _refused(dataset, r"has the roles .*, not \['test'\]", split=BLOCKS, roles={"test": ["A"]})


def test_a_misspelt_role_is_refused(dataset):
    _refused(
        dataset,
        r"data\.lab\.roles\.refrence: no 'refrence' \(did you mean 'reference'",
        roles={"refrence": ["A"]},
    )


HUB = {"kind": "hub", "repo": "owner/name", "revision": "abc", "folder": "hest"}


@pytest.mark.parametrize(
    ("source", "key"), [("simulator", "genes"), ("folder", "folder"), ("hub", "revision")]
)
def test_a_source_needs_its_keys(dataset, source, key):
    for block in (source, {"kind": source}):
        message = rf"data\.lab\.source\.{key}: missing; set it in params\.yaml"
        _refused(dataset, message, source=block)
    _refused(dataset, rf"data\.lab\.source\.{key}: unknown parameter",
             source={"kind": "manifest", key: "x"})  # fmt: skip


def test_a_source_is_of_a_kind_that_there_is(dataset):
    _refused(
        dataset, r"data\.lab\.source\.kind: no 'web'; valid: folder, hub, manifest", source="web"
    )
    _refused(dataset, r"data\.lab\.source: no key 'kind'", source={"folder": "tissue"})
    message = r"data\.lab\.source\.folder: Input should be a valid string, got 3"
    _refused(dataset, message, source={"kind": "folder", "folder": 3})
    assert dataset(source={"kind": "folder", "folder": "x"}).source.folder == "x"


@pytest.mark.parametrize("key", ["sections", "folder", "hub", "simulator", "blocks", "gap_um"])
def test_a_former_key_is_answered_with_its_place(dataset, key):
    place = {"sections": "reader", "blocks": "split", "gap_um": "split"}.get(key, "source")
    _refused(dataset, rf"^data\.lab: '{key}' stands in `{place}: {{.*}}`.* now", **{key: 3})


def test_a_circular_task_is_answered_with_its_place(dataset):
    tasks = {"mix": {"kind": "composition", "circular": True}}
    _refused(dataset, r"'circular' stands in `circular: {DATA_SET: \[mix\]}` now", tasks=tasks)


def test_a_bare_word_is_short_for_its_kind(dataset):
    short = dataset(source="manifest", reader="her2st", split="holdout", roles={"test": ["A"]})
    long = {key: {"kind": word} for key, word in
            {"source": "manifest", "reader": "her2st", "split": "holdout"}.items()}  # fmt: skip
    assert short == dataset(**long, roles={"test": ["A"]})


def test_a_split_over_sections_groups_by_section_and_all_others_by_donor(dataset):
    assert dataset(split="leave-one-section-out").group == "section"
    assert dataset().group == "donor"
    assert dataset(split="holdout", roles={"train": ["A"], "test": ["B"]}).group == "donor"


def test_lengths_must_be_positive(dataset):
    _refused(dataset, r"data\.lab\.unit_um: .*greater than 0, got 0", unit_um=0)


SECTIONS = {
    "kind": "xenium", "units": "patches", "least": 5, "keep_cells": True,
    "donors": {"A": ["S1", "S2"], "B": ["S3"], "R": ["S4"]},
}  # fmt: skip


def test_sections_belong_to_donors(dataset):
    asked = dataset(reader=SECTIONS)
    assert asked.sections.donor_of(["S9"]) == {"S1": "A", "S2": "A", "S3": "B", "S4": "R"}
    roles = {"study": ["S1", "S3"], "reference": ["S4"]}
    assert (
        dataset(reader=SECTIONS, split="leave-one-section-out", roles=roles).role_of["S3"]
        == "study"
    )
    _refused(dataset, r"names \['C'\], which 'reader\.donors' does not",
             reader=SECTIONS, roles={"study": ["A", "C"], "reference": ["R"]})  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"donors": {"A": ["S1"], "B": ["S1"]}},
            r"one donor for a section, but \['S1'\] are listed",
        ),
        ({"units": "patch"}, r"reader\.units: no 'patch' \(did you mean 'patches'"),
        ({"units": "spots"}, r"units 'patches' and the key 'least' go together"),
        ({"least": None}, r"units 'patches' and the key 'least' go together"),
        ({"keep_cells": None}, r"units 'patches' and the key 'keep_cells' go together"),
        (
            {"units": "spots", "least": None, "keep_cells": None, "origin_um": 5.0},
            r"'origin_um' needs units 'patches'",
        ),
        ({"composition": "shares.csv"}, r"'composition' needs units 'spots' or 'cells'"),
        ({"cell_type": "type"}, r"'cell_type' needs 'labels', and units 'patches'"),
        ({"donor": {}}, r"reader\.donor: unknown parameter \(did you mean 'donors'"),
    ],
)
def test_a_mistake_in_the_block_of_sections_is_named(dataset, change, message):
    _refused(dataset, message, reader=SECTIONS | change)


def test_sections_of_hest_have_donors(dataset):
    without = {**SECTIONS, "donors": None}
    for change in ({"source": HUB, "reader": without}, {"reader": without | {"kind": "hest"}}):
        _refused(dataset, "HEST-1k need the key 'reader.donors'", **change)
    assert dataset(source=HUB, reader=SECTIONS).source.revision == "abc"
