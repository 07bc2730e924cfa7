"""The stage `pairs`: a new task changes label files alone."""

from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from cell_synergy.data import label_files, paired
from stages import pairs
from tests.conftest import DATASET

GENES = " ".join(f"g{i}" for i in range(40))
PANEL = {"panel": {"kind": "gene_panel", "genes": 6}}
MORE = {
    "layer": {"kind": "classification", "exclude": ["odd"]},
    "composition": {"kind": "composition"},
}


@pytest.fixture
def run(section, rules, tmp_path, monkeypatch):
    """Return a function that runs the stage with some tasks beside the region, in a folder."""
    monkeypatch.chdir(tmp_path)
    grey = imagecodecs.png_encode(np.full((120, 120, 3), 128, np.uint8))
    sections = []
    for name in ("A1", "B1", "R1"):
        Path(f"{name}.png").write_bytes(grey)
        made = section(name, name[0], GENES, units=60, image=f"{name}.png", mpp=0.5)
        # `odd` is excluded, `rare` is no class, and a third has no label: all are kept.
        made.adata.obs["layer"] = [*["upper", "lower", None] * 18, *["odd"] * 4, *["rare"] * 2]
        shares = np.random.default_rng(0).dirichlet(np.ones(3), 60)
        made.adata.obsm["cell_type_ratio"] = pd.DataFrame(shares, made.adata.obs_names, [*"abc"])
        sections.append(made)
    monkeypatch.setattr(pairs, "read", lambda *_: sections)

    def make(out, tasks):
        block = DATASET | {"tasks": DATASET["tasks"] | tasks}
        params = {
            "data": {"lab": block}, "pairs": rules.model_dump(), "align": {"held": 0.1},
            "experts": {"expression": "pca"}, "encoders": {"pca": {"components": 2}},
            "training": {"batch_size": 8},
        }  # fmt: skip
        with Path("params.yaml").open("w") as file:
            YAML().dump(params, file)
        files = {
            name: tmp_path / out / name / "lab.h5ad" for name in ("pairs", "reference", "labels")
        }
        pairs.main(
            pairs.Args(
                dataset="lab",
                raw=tmp_path,
                out=files["pairs"],
                reference=files["reference"],
                labels=files["labels"],
            )
        )
        return tmp_path / out

    return make


def test_a_new_task_changes_labels_alone(run):
    plain, more = run("plain", {}), run("more", MORE)
    for name in ("pairs/lab.h5ad", "pairs/lab.csv", "reference/lab.h5ad"):
        assert (plain / name).read_bytes() == (more / name).read_bytes()
    for name in ("lab.h5ad", "lab.csv", "lab-reference.h5ad"):
        assert (plain / "labels" / name).read_bytes() != (more / "labels" / name).read_bytes()
    joined = paired.read(more / "pairs/lab.h5ad", more / "labels/lab.h5ad")
    assert joined.n_obs == 120
    assert list(joined.obs) == ["donor", "section", "region", "layer"]
    assert joined.obs["layer"].cat.categories.tolist() == ["lower", "upper"]
    tasks = label_files.read_task_table(more / "labels", "lab").tasks
    assert tasks["classes"].to_dict() == {"region": 2, "layer": 2, "composition": 3}
    assert tasks["observations"].to_dict() == {"region": 120, "layer": 72, "composition": 120}


def test_reference_donors_keep_all_their_labels(run):
    folder = run("more", MORE)
    joined = paired.read(folder / "reference/lab.h5ad", folder / "labels/lab-reference.h5ad")
    assert joined.obs["layer"].cat.categories.tolist() == ["lower", "odd", "rare", "upper"]
    assert joined.obsm["cell_type_ratio"].shape == (60, 3)


def test_a_gene_panel_is_part_of_the_pairs_since_the_expert_does_not_see_it(run):
    plain, panel = run("plain", {}), run("panel", PANEL)
    for name in ("pairs/lab.h5ad", "reference/lab.h5ad"):
        assert (plain / name).read_bytes() != (panel / name).read_bytes()
    assert paired.read(panel / "pairs/lab.h5ad").var["panel"].sum() == 6
