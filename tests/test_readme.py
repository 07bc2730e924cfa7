"""What the README shows has to work."""

import re
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

import cell_synergy
from cell_synergy.data.units.dataset import Dataset

README = (Path(__file__).parents[1] / "README.md").read_text()


def block(language):
    """Return the one code block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    return found


def test_the_block_of_a_users_own_tissue_is_a_data_set():
    data = YAML(typ="safe").load(StringIO(block("yaml")))["data"]["mine"]
    dataset = Dataset.model_validate(data)
    assert dataset.source == "folder"
    assert dataset.roles["reference"]


def test_the_names_that_it_imports_are_there():
    names = re.search(r"from cell_synergy import (.*)", block("python"))
    assert names is not None
    assert all(hasattr(cell_synergy, name) for name in names[1].split(", "))


def test_no_number_was_left_to_be_filled_in():
    assert not re.findall(r"@[A-Z]+@|TODO|TBD", README)
