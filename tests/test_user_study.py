"""A data set of one's own, whatever its tasks and however few the methods, to claims and figures.

Everything after the embeddings runs here, stage by stage as dvc.yaml has it, on three drawn donors.
"""

import json
from pathlib import Path

import anndata as ad
import jupytext
import matplotlib.pyplot as plt
import matplotlib.text
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML
from scipy import sparse

from cell_synergy.data import embeddings
from cell_synergy.figures import style
from cell_synergy.studies.claims.outcomes import NOT_TESTED
from stages import (
    align,
    claims,
    decompose,
    evaluate,
    finetune,
    headline,
    limits,
    scaling,
    sis,
    spectrum,
)
from tests import labelled

ROOT = Path(__file__).parents[1]
PARAMS = YAML(typ="safe").load(ROOT / "params.yaml")
SIDE, PITCH, DONORS = 7, 100.0, "ABC"
METHODS = ["concat", "cca", "image", "expression"]
TASKS = {
    "without labels": {},
    "a panel alone": {"genes": {"kind": "gene_panel", "genes": 4}},
    "a composition alone": {"types": {"kind": "composition"}},
    "other names": {"histology": {"kind": "classification"}},
}
DRAWN = {"scaling", "sis", "spatial", "spectrum", "tissue", "truth"}


def small(tasks, models, **changed):
    """Return the parameters of a small study."""
    block = {
        "source": {"kind": "folder", "folder": "raw"}, "reader": "h5ad", "unit_um": PITCH,
        "standardise": "donor", "split": "leave-one-donor-out", "tasks": tasks,
        "roles": {"study": list(DONORS)},
    }  # fmt: skip
    mlp = PARAMS["probe"]["mlp"] | {"hidden": 4, "epochs": 2, "axes": 8}
    blocks = {name: PARAMS["models"][name] for name in models}
    if "cca" in blocks:
        blocks["cca"] = {"components": 2, "ridge": 1.0}
    own = {
        "datasets": ["mine"], "data": {"mine": block}, "models": blocks, "method": models[1],
        "align": {"axes": 64, "seed": 0, "seeds": 1, "held": 0.1},
        "training": PARAMS["training"] | {"max_epochs": 1, "batch_size": 32},
        "probe": PARAMS["probe"] | {"mlp": mlp, "strongest": 1.0, "strengths": 2},
        "spatial": PARAMS["spatial"] | {"least": 4},
        "spectrum": PARAMS["spectrum"] | {"axes": 4, "permutations": 5},
        "scaling": PARAMS["scaling"] | {
            "datasets": ["mine"], "draws": 1, "pairs": 10, "labels": 10
        },
    }  # fmt: skip
    return PARAMS | own | changed


def draw(widths, tasks):
    """Write pairs, embeddings of some widths and images of three donors whose halves differ."""
    rng = np.random.default_rng(0)
    grid = PITCH * (1 + np.stack(np.meshgrid(range(SIDE), range(SIDE)), axis=-1).reshape(-1, 2))
    count = len(grid) * len(DONORS)
    donor = np.repeat(list(DONORS), len(grid))
    obs = pd.DataFrame({"donor": donor, "section": donor}, index=[f"u{i}" for i in range(count)])
    left = np.tile(grid[:, 0] < grid[:, 0].mean(), len(DONORS))
    obs["histology"] = np.where(left, "in", "out")
    var = pd.DataFrame({"panel": np.arange(8) < 4}, index=[f"g{i}" for i in range(8)])
    counts = sparse.csr_matrix(rng.poisson(3 + 5 * left[:, None], (count, 8)).astype(np.float32))
    units = ad.AnnData(counts, obs=obs.astype("category"), var=var)
    units.obsm["spatial"] = np.tile(grid, (len(DONORS), 1)).astype(float)
    shares = rng.dirichlet(np.ones(3), count)
    units.obsm["cell_type_ratio"] = pd.DataFrame(shares, obs.index, ["p", "q", "r"])
    mpp, images = dict.fromkeys(DONORS, 2.0), {name: f"{name}.png" for name in DONORS}
    units.uns = {"source": "mine", "simulated": False, "mpp": mpp, "images": images}
    labelled.write(Path("data"), "mine", units, tasks)
    roles = pd.DataFrame({"section": list(DONORS), "role": "study"})
    roles.to_csv("data/pairs/mine.csv", index=False)
    card = Path("data/experts/mine", PARAMS["experts"]["image"], "card.json")
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"pooling": "mean at 112 and 336 um"}))
    for name, width in zip(("image", "expression"), widths, strict=True):
        x = rng.standard_normal((count, width)) + left[:, None]
        path = Path(f"data/embeddings/{name}.h5ad")
        embeddings.write(path, x.astype(np.float32), units.obs_names, {"encoder": name})
    Path("data/raw/mine").mkdir(parents=True)
    for name in DONORS:
        Image.new("RGB", (450, 450), (200, 120, 160)).save(f"data/raw/mine/{name}.png")


def run_stages(models):
    """Run every stage from the alignment to the claims."""
    known = {"pairs": "data/pairs/mine.h5ad"}
    known |= {name: f"data/embeddings/{name}.h5ad" for name in ("image", "expression")}

    def words(name, **more):
        return {"data": {"dataset": "mine"}, "models": {"name": name}} | known | more

    labels = {"labels": "data/labels/mine.h5ad"}
    for name in models:
        weights = f"results/align/mine/{name}"
        align.main(align.Args(**words(name, out=weights, curves=f"results/curves/{name}")))
        out, over_space = (f"results/{kind}/mine/{name}.csv" for kind in ("probe", "spatial"))
        more = {"weights": weights, "out": out, "spatial": over_space}
        evaluate.main(evaluate.Args(**words(name, **more, **labels)))
    for name in {*models[:2], "concat", "image", "expression"}:
        out = f"results/scaling/mine/{name}.csv"
        scaling.main(scaling.Args(**words(name, out=out, **labels)))
    rest = {"dataset": "mine", "pairs": known["pairs"]} | labels
    out = "results/finetune/mine.csv"
    expert = {"expert": "nicheformer_small", "frozen": "none", "embedding": "none"}
    finetune.main(finetune.Args(**rest, **expert, out=out))
    both = rest | {name: known[name] for name in ("image", "expression")}
    decompose.main(decompose.Args(
        **both, raw="data/raw/mine", posteriors="results/probe/mine",
        out="results/information/mine.csv", truth="results/truth/mine.csv",
    ))  # fmt: skip
    spectrum.main(spectrum.Args(
        **both, weights="results/align/mine", scores="results/probe",
        out="results/spectrum/mine.csv",
    ))  # fmt: skip
    sis.main(sis.Args(
        scores="results/probe", spatial="results/spatial", out="results/sis",
        distance="results/distance",
    ))  # fmt: skip
    limits.main(limits.Args(
        **{name: f"results/{name}" for name in ("sis", "truth", "spectrum")},
        scores="results/probe", out="results/limits.csv",
    ))  # fmt: skip
    headline.main(headline.Args(sis="results/sis", out="results/headline.json"))
    Path("results/trifeature").mkdir()
    folders = (
        "sis",
        "information",
        "truth",
        "spectrum",
        "distance",
        "scaling",
        "finetune",
        "trifeature",
    )
    claims.main(claims.Args(
        **{name: f"results/{name}" for name in folders}, scores="results/probe",
        limits="results/limits.csv", labels="data/labels", out="results/claims.csv",
        summary="results/claims.md",
    ))  # fmt: skip


def run_study(folder, patch, tasks, models=METHODS, widths=(6, 5), **changed):
    """Run a study of one's own in an empty folder, which is entered."""
    patch.chdir(folder)
    patch.setenv("CELL_SYNERGY_SCRATCH", str(folder / "scratch"))
    with Path("params.yaml").open("w") as file:
        YAML().dump(small(tasks, models, **changed), file)
    draw(widths, tasks)
    run_stages(models)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Return a function that runs a study of one's own in an empty folder."""
    return lambda tasks, **changed: run_study(tmp_path, monkeypatch, tasks, **changed)


@pytest.fixture(scope="module")
def _without_training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("without-training")
    with pytest.MonkeyPatch.context() as patch:
        run_study(folder, patch, TASKS["other names"], ["image", "concat", "expression"])
    return folder


@pytest.fixture
def study_without_training(_without_training, monkeypatch):
    """Enter a study of methods without training, `concat` its focal method."""
    monkeypatch.chdir(_without_training)


@pytest.fixture
def words(monkeypatch):
    """Return a function that draws a notebook and returns all words in its picture."""

    def drawn(name):
        found: list[str] = []

        def save(figure, path):  # noqa: ARG001
            figure.canvas.draw()
            texts = figure.findobj(matplotlib.text.Text)
            found.extend(t.get_text().replace("\n", " ") for t in texts if t.get_visible())
            plt.close(figure)

        monkeypatch.setattr(style, "save", save)
        space: dict[str, object] = {}
        for cell in jupytext.read(ROOT / f"notebooks/{name}.py").cells:
            if cell.cell_type == "code":
                exec(cell.source, space)  # noqa: S102 - what a kernel does
        return " | ".join(filter(None, found))

    return drawn


SLOWER = [
    pytest.param(tasks, id=name, marks=[] if name == "without labels" else [pytest.mark.slow])
    for name, tasks in TASKS.items()
]


@pytest.mark.parametrize("tasks", SLOWER)
def test_whatever_its_tasks_a_study_comes_to_claims_and_figures(study, words, tasks, capsys):
    study(tasks)
    said = capsys.readouterr().out
    for name in ("scaling/mine/cca.csv", "finetune/mine.csv"):
        table = pd.read_csv(f"results/{name}")
        assert table.empty
        assert {"dataset", "method", "task", "fraction", "value", "note"} <= set(table.columns)
    assert "scaling.tasks names none of its tasks" in said or "it has no task" in said
    spectra = pd.read_csv("results/spectrum/mine.csv")
    assert {"ceiling", "unique_image"} <= set(spectra["quantity"])
    close = pd.read_csv("results/distance/mine.csv")
    assert set(close["target"]) == {"consistency"}
    for folder in ("information", "truth"):
        assert "task" in pd.read_csv(f"results/{folder}/mine.csv").columns
    scored = pd.read_csv("results/sis/mine.csv")
    assert set(scored["task"]) - {"donor"} == set(tasks)
    verdicts = pd.read_csv("results/claims.csv")
    assert set(verdicts["verdict"]) == {NOT_TESTED}
    assert not verdicts["evidence"].isna().any()
    pictures = {name: words(name) for name in DRAWN}
    assert "no task of scaling.tasks in this data set" in pictures["scaling"]
    assert "no task of spatial.targets in this data set" in pictures["spatial"]
    assert "close or far apart" in pictures["spatial"]
    assert "no simulated data set in this study" in pictures["truth"]
    unlabelled = "no classification task in this data set" in pictures["tissue"]
    assert unlabelled == ("histology" not in tasks)
    assert ("no task in this data set" in pictures["sis"]) == (not tasks)
    assert ("no task in this data set" in pictures["spectrum"]) == (not tasks)


@pytest.mark.usefixtures("study_without_training")
def test_claims_about_methods_that_are_left_out_say_so():
    table = pd.read_csv("results/claims.csv").query("dataset == 'mine'").set_index("claim")
    said = table["evidence"].to_dict()
    assert said["CoMM has the highest SIS over all tasks"] == "no method 'comm'"
    assert said["SimCLR captures redundancy"] == "no method 'simclr' or 'shuffled'"
    kept = said["alignment keeps what both modalities show more than the rest"]
    assert kept.startswith("no method 'cca' or 'dcca' or 'simclr'")
    assert set(table["verdict"]) == {NOT_TESTED}


@pytest.mark.usefixtures("study_without_training")
def test_a_focal_method_without_training_is_drawn(words):
    assert "Concat" in words("sis")
    assert "Concat" in words("tissue")


def test_with_too_few_pairs_for_the_ceiling_the_figure_says_so(study, words):
    wide = PARAMS["spectrum"] | {"permutations": 5, "fractions": [50, 100]}
    study(TASKS["other names"], widths=(60, 50), spectrum=wide)
    found = pd.read_csv("results/spectrum/mine.csv")
    assert "ceiling" in set(found["quantity"])
    assert not {"unique_image", "over_ceiling"} & set(found["quantity"])
    said = words("spectrum")
    assert "too few training pairs to say what both modalities show" in said
    assert "too few training pairs for a ceiling" in said
    table = pd.read_csv("results/claims.csv").query("dataset == 'mine'").set_index("claim")
    ceiling = table.loc["alignment keeps redundancy only, task by task"]
    assert ceiling["verdict"] == NOT_TESTED
    assert "too few training pairs" in ceiling["evidence"]
