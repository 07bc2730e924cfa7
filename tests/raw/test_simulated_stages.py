"""The stages `download` and `pairs` of a simulated data set: its role changes no tissue."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cell_synergy.core.errors import ConfigError
from cell_synergy.data.label_files import read_task_table
from stages import download, pairs

PARAMS = YAML(typ="safe").load(Path(__file__).parents[2] / "params.yaml")
ROLES = {"reference": ["R1"], "train": ["A1"], "probe": ["P1"], "test": ["T1"]}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs both stages on a small breast twin with a role."""
    monkeypatch.chdir(tmp_path)

    def make(role):
        block = PARAMS["data"]["breast"]
        units = {key: [8, 8] for key in ROLES}
        source = block["source"] | {"units": units, "regions": 6, "role": role}
        data = {"breast": block | {"source": source, "roles": ROLES}}
        training = PARAMS["training"] | {"batch_size": 32}
        with Path("params.yaml").open("w") as file:
            YAML().dump(PARAMS | {"data": data, "training": training}, file)
        out = tmp_path / role.replace(" ", "_")
        raw, labels = out / "raw", out / "labels/breast.h5ad"
        download.main(download.Args(dataset="breast", manifests=tmp_path, out=raw))
        files = {name: out / f"{name}.h5ad" for name in ("out", "reference")}
        pairs.main(pairs.Args(dataset="breast", raw=raw, labels=labels, **files))
        return out

    return make


def _bytes(folder):
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_the_role_is_in_the_table_of_tasks_alone(run):
    powered, weak = run("states well seen"), run("states badly seen")
    first, second = _bytes(powered), _bytes(weak)
    assert {name for name in first if first[name] != second.get(name)} == {"labels/breast.csv"}
    assert first.keys() == second.keys()
    table = read_task_table(powered / "labels", "breast")
    assert table.role == "states well seen"
    assert {"niche", "matched_niche", "mixed_niche"} < set(table.tasks.index)
    labelled = table.tasks["observations"]
    assert labelled["matched_niche"] == 2 * 64
    assert labelled["mixed_niche"] == labelled["niche"] == 3 * 64


@pytest.mark.parametrize("role", ["", "two\nlines", " blank"])
def test_a_role_is_one_line_of_text(run, role):
    with pytest.raises(ConfigError, match=r"source.*role"):
        run(role)
