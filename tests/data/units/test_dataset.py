import pytest

from cell_synergy.core.config import validate
from cell_synergy.core.errors import ConfigError
from cell_synergy.data.units.dataset import Classification, Dataset, GenePanel


def _refused(dataset, message, **changes):
    with pytest.raises(ConfigError, match=message):
        validate(Dataset, {**dataset().model_dump(exclude_none=True), **changes}, "data.lab")


def test_a_task_is_of_the_kind_that_it_names(dataset):
    panel = {"kind": "gene_panel", "genes": 5}
    tasks = dataset(tasks={**dataset().model_dump()["tasks"], "panel": panel}).tasks
    assert tasks["region"] == Classification(
        kind="classification", exclude=("fold",), circular=False
    )
    assert tasks["panel"] == GenePanel(kind="gene_panel", genes=5)


def test_an_unknown_kind_of_task_is_refused_with_the_valid_ones(dataset):
    message = r"data\.lab\.tasks\.x: .*'classes'.*'classification', 'composition', 'gene_panel'"
    _refused(dataset, message, tasks={"x": {"kind": "classes"}})


@pytest.mark.parametrize(
    ("split", "role"),
    [("holdout", "study"), ("leave-one-donor-out", "test"), ("leave-one-section-out", "train")],
)
def test_a_role_that_the_split_does_not_know_is_refused(dataset, split, role):
    _refused(dataset, rf"split '{split}' knows the roles .*, not \['{role}'\]",
             split=split, roles={role: "A"})  # fmt: skip


def test_a_donor_has_one_role(dataset):
    _refused(dataset, r"\['A'\] are listed twice", roles={"study": "A, B", "reference": "A"})


@pytest.mark.parametrize("names", ["A,,B", "A,", ["A", "B"]])
def test_donors_stand_in_one_line(dataset, names):
    _refused(dataset, r"data\.lab\.roles\.study: .*comma", roles={"study": names})
    assert dataset(roles={"study": " A 1 ,B", "reference": 3}).roles == {
        "study": ("A 1", "B"),
        "reference": ("3",),
    }


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
    _refused(dataset, r"names \['C'\], whom 'sections\.donors' does not",
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
        ({"composition": "shares.csv"}, r"'composition' is of spots or cells"),
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
