"""One section of one donor, split into blocks: from its files to what is told of it in tables."""

import json
from importlib import import_module
from pathlib import Path

import anndata as ad
import imagecodecs
import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from scipy import sparse

from cell_synergy.data import embeddings, paired
from cell_synergy.data.remarks import REMARK

PARAMS = YAML(typ="safe").load(Path(__file__).parents[1] / "params.yaml")
METHODS = ["concat", "image", "expression", "simclr"]
PITCH, COLUMNS, ROWS, MPP = 100.0, 32, 12, 4.0
DATA = {
    "source": {"kind": "folder", "folder": "sections"}, "reader": "h5ad", "unit_um": PITCH,
    "standardise": "train",
    "split": {"kind": "leave-one-block-out", "blocks": 4, "gap_um": 300.0},
    "tasks": {"region": {"kind": "classification"}}, "roles": {"study": ["P1"]},
}  # fmt: skip


def draw(folder, name, donor, seed=0):
    """Write one section whose bands across, 300 um wide, are seen in colour and in genes."""
    rng = np.random.default_rng(seed)
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(COLUMNS), np.arange(ROWS)))
    region = y // 3 % 2
    rate = np.where((np.arange(40) % 2 == region[:, None]), 6.0, 2.0)
    table = ad.AnnData(
        sparse.csr_matrix(rng.poisson(rate).astype(np.float32)),
        obs=pd.DataFrame({"donor": donor, "region": np.array(["core", "rim"])[region]}),
        var=pd.DataFrame(index=[f"g{i}" for i in range(40)]),
        obsm={"spatial": PITCH / MPP * (np.column_stack([x, y]) + 1.0)},
        uns={"mpp": MPP},
    )
    table.obs_names = [f"u{i}" for i in range(table.n_obs)]
    height, width = (int(PITCH / MPP * (count + 1)) for count in (ROWS, COLUMNS))
    bands = np.arange(height) / (PITCH / MPP) - 0.5
    image = rng.integers(90, 130, (height, width, 3), dtype=np.uint8)
    image[(np.floor(bands) // 3 % 2 == 1)] += 60
    folder.mkdir(exist_ok=True)
    table.write_h5ad(folder / f"{name}.h5ad")
    (folder / f"{name}.png").write_bytes(imagecodecs.png_encode(image))


def settings(**data):
    """Return params.yaml for a study that is small enough."""
    params = PARAMS | {"datasets": ["mine"], "method": "simclr", "data": {"mine": DATA | data}}
    params["models"] = {name: PARAMS["models"][name] for name in METHODS}
    params["models"]["simclr"] = params["models"]["simclr"] | {"hidden": 8, "width": 8}
    params["training"] = PARAMS["training"] | {"max_epochs": 2, "batch_size": 32}
    params["align"] = PARAMS["align"] | {"seeds": 1}
    experts = PARAMS["encoders"]
    small = {"pca": experts["pca"] | {"components": 4}}
    small["efficientnet_lite0"] = experts["efficientnet_lite0"] | {"input_px": 32}
    params["encoders"] = experts | small
    mlp = PARAMS["probe"]["mlp"] | {"hidden": 4, "epochs": 2, "axes": 8}
    params["probe"] = PARAMS["probe"] | {"mlp": mlp}
    params["spectrum"] = PARAMS["spectrum"] | {"axes": 4, "fractions": [100], "permutations": 2}
    params["spatial"] = PARAMS["spatial"] | {"least": 4, "neighbours": [8]}
    scaling = {"datasets": ["mine"], "fractions": [100], "pairs": 10, "labels": 10}
    params["scaling"] = PARAMS["scaling"] | scaling
    return params


def stage(name, *words):
    """Run a stage as its command does."""
    module = import_module(f"stages.{name}")
    from cell_synergy.core.config import arguments  # noqa: PLC0415 - beside its only use

    module.main(arguments(module.Args, list(words)))


def prepare():
    """Run the stages from the files to the pairs."""
    stage("download", "dataset=mine", "manifests=.", "out=raw")
    stage("pairs", "dataset=mine", "raw=raw", "out=pairs.h5ad", "reference=reference.h5ad",
          "labels=labels.h5ad")  # fmt: skip


def finish():
    """Run the stages from the pairs to the tables."""
    for expert in ("efficientnet_lite0", "pca"):
        stage("embed", f"expert={expert}", "pairs=pairs.h5ad", "reference=reference.h5ad",
              "raw=raw", f"frozen=experts/{expert}", f"out={expert}.h5ad")  # fmt: skip
    image = ad.read_h5ad("efficientnet_lite0.h5ad")
    narrow = np.asarray(image.X)[:, :16].astype(np.float32)  # hundreds would take long
    embeddings.write(Path("efficientnet_lite0.h5ad"), narrow, image.obs_names, {})
    both = "pairs=pairs.h5ad image=efficientnet_lite0.h5ad expression=pca.h5ad"
    for method in METHODS:
        words = f"data.dataset=mine models.name={method} {both}".split()
        stage("align", *words, f"out=align/{method}", f"curves=curves/{method}")
        words.append("labels=labels.h5ad")
        stage("evaluate", *words, f"weights=align/{method}", f"out=probe/mine/{method}.csv",
              f"spatial=spatial/mine/{method}.csv")  # fmt: skip
        stage("scaling", *words, f"out=scaling/mine/{method}.csv")
    both += " labels=labels.h5ad"
    stage("decompose", "dataset=mine", "raw=raw", *both.split(), "posteriors=probe/mine",
          "out=information/mine.csv", "truth=truth/mine.csv")  # fmt: skip
    stage("sis", "scores=probe", "spatial=spatial", "out=sis", "distance=distance")
    stage("spectrum", "dataset=mine", *both.split(), "weights=align", "scores=probe",
          "out=spectrum/mine.csv")  # fmt: skip
    stage("headline", "sis=sis", "out=headline.json")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder to work in."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("one")
        patch.chdir(folder)
        patch.setenv("CELL_SYNERGY_SCRATCH", str(folder / "scratch"))
        yield folder


@pytest.fixture(scope="module")
def study(place):
    """The study of one section."""
    draw(place / "sections", "S1", "P1")
    with (place / "params.yaml").open("w") as file:
        YAML().dump(settings(), file)
    prepare()
    finish()
    return place


def test_the_first_block_is_the_reference_and_the_others_are_scored(study):
    scored, reference = (paired.read(study / f"{name}.h5ad") for name in ("pairs", "reference"))
    assert sorted(scored.obs["block"].unique()) == [f"S1-block{i}" for i in (2, 3, 4)]
    assert reference.obs["block"].unique().tolist() == ["S1-block1"]
    x = {b: scored.obsm["spatial"][scored.obs["block"] == b, 0] for b in scored.obs["block"]}
    x["S1-block1"] = reference.obsm["spatial"][:, 0]
    ends = [(x[f"S1-block{i}"].min(), x[f"S1-block{i}"].max()) for i in (1, 2, 3, 4)]
    # cuts through 8 columns each; a gap of 300 um takes a column on either side of a cut
    expected = [(100, 700), (1000, 1500), (1800, 2300), (2600, 3200)]
    assert ends == [pytest.approx(pair) for pair in expected]
    assert scored.n_obs == ROWS * (6 + 6 + 7)


def test_every_table_says_that_blocks_tell_nothing_of_other_donors(study):
    said = (
        "split into blocks of a section, 300 um apart: nothing about other donors; the reference, "
        "on which experts are fitted, is the first block of each section"
    )
    names = ["probe/mine/simclr", "spatial/mine/concat", "scaling/mine/simclr", "sis/mine"]
    names += ["information/mine", "distance/mine", "spectrum/mine"]
    for name in names:
        table = pd.read_csv(study / f"{name}.csv")
        assert set(table[REMARK]) == {said}, name
    assert json.loads((study / "headline.json").read_text())["remarks"] == {"mine": said}


def test_folds_are_blocks_and_nothing_is_testable(study):
    scores = pd.read_csv(study / "probe/mine/concat.csv")
    assert set(scores["fold"]) == {f"S1-block{i}" for i in (2, 3, 4)}
    assert set(scores["donor"]) == {"P1"}
    assert set(scores["task"]) == {"region"}  # whose tissue it is is no question
    table = pd.read_csv(study / "sis/mine.csv")
    whole = table[table["fold"] == "all"]
    assert (whole["n_donors"] == 1).all()
    assert whole[["low", "high", "p"]].isna().to_numpy().all()
    assert whole["note"].str.contains("not testable: 1 donor, 5 needed").all()
    bits = pd.read_csv(study / "information/mine.csv")
    assert bits["low"].isna().all()
    known = bits.set_index(["method", "quantity"])["bits"]
    assert known["pair", "H"] == pytest.approx(1.0, abs=0.01)
    assert known["pair", "I_expression"] > 0.5


def test_neighbours_and_pairs_lie_in_one_block(study):
    scores = pd.read_csv(study / "spatial/mine/expression.csv")
    assert set(scores["task"]) == {"neighbours region 1", "consistency"}
    # the outer radius holds 8 neighbours on average over a block, whose border units have fewer
    assert (scores.groupby("fold")["neighbours"].first() <= 8.5).all()


@pytest.mark.usefixtures("study")
def test_named_reference_donors_leave_all_blocks_to_be_scored(place):
    draw(place / "sections", "R1", "R", seed=1)
    try:
        with (place / "params.yaml").open("w") as file:
            YAML().dump(settings(roles={"study": ["P1"], "reference": ["R"]}), file)
        prepare()
        scored, reference = (paired.read(place / f"{name}.h5ad") for name in ("pairs", "reference"))
        assert sorted(scored.obs["block"].unique()) == [f"S1-block{i}" for i in (1, 2, 3, 4)]
        assert set(reference.obs["donor"]) == {"R"}
        assert "block" not in reference.obs
        assert scored.uns[REMARK] == (
            "split into blocks of a section, 300 um apart: nothing about other donors"
        )
    finally:
        (place / "sections/R1.h5ad").unlink()
