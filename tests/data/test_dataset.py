import pytest

from cell_synergy.config import validate
from cell_synergy.data.dataset import Classification, Dataset, GenePanel
from cell_synergy.errors import ConfigError


def _refused(dataset, message, **changes):
    with pytest.raises(ConfigError, match=message):
        validate(Dataset, {**dataset().model_dump(exclude_none=True), **changes}, "data.lab")


def test_a_task_is_of_the_kind_that_it_names(dataset):
    panel = {"kind": "gene_panel", "genes": 5, "circular": False}
    tasks = dataset(tasks={**dataset().model_dump()["tasks"], "panel": panel}).tasks
    assert tasks["region"] == Classification(
        kind="classification", exclude=("fold",), circular=False
    )
    assert tasks["panel"] == GenePanel(kind="gene_panel", genes=5, circular=False)


def test_an_unknown_kind_of_task_is_refused_with_the_valid_ones(dataset):
    message = r"data\.lab\.tasks\.x: .*'classes'.*'classification', 'composition', 'gene_panel'"
    _refused(dataset, message, tasks={"x": {"kind": "classes"}})


@pytest.mark.parametrize(
    ("split", "role"),
    [("holdout", "study"), ("leave-one-donor-out", "test"), ("leave-one-section-out", "train")],
)
def test_a_role_that_the_split_does_not_know_is_refused(dataset, split, role):
    _refused(dataset, rf"split '{split}' knows the roles .*, not \['{role}'\]",
             split=split, roles={"A": role})  # fmt: skip


def test_a_misspelt_role_is_refused(dataset):
    _refused(
        dataset, r"data\.lab\.roles\.A: .*'reference'.* got 'refrence'", roles={"A": "refrence"}
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
    assert dataset(split="holdout", roles={"A": "train", "B": "test"}).group == "donor"


def test_lengths_must_be_positive(dataset):
    _refused(dataset, r"data\.lab\.unit_um: .*greater than 0, got 0", unit_um=0)
