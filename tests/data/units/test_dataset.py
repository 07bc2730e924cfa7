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
