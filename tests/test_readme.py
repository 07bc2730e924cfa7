"""What the README shows has to work."""

import re
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

import cell_synergy
from cell_synergy.data.config import DatasetConfig

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language):
    found = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    assert found, f"no block of {language}"
    return found


def test_the_block_of_a_users_own_tissue_is_a_data_set():
    own, native = (YAML(typ="safe").load(StringIO(block)) for block in blocks("yaml"))
    mine = own["data"]["mine"]
    dataset = DatasetConfig.model_validate(mine)
    assert dataset.source.kind == "folder"
    assert dataset.roles["reference"]
    roles = {"roles": {"reference": ["P1"], "study": ["P2"]}}
    sections = DatasetConfig.model_validate(mine | native | roles).sections
    assert sections is not None
    assert sections.donor_of(()) == {"S1": "P1", "S2": "P1", "S3": "P2"}


def test_the_names_that_it_imports_are_there():
    names = re.search(r"from cell_synergy import (.*)", blocks("python")[0])
    assert names is not None
    assert all(hasattr(cell_synergy, name) for name in names[1].split(", "))


def test_no_number_was_left_to_be_filled_in():
    assert not re.findall(r"@[A-Z]+@|TODO|TBD", README)
