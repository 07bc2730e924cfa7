"""The two public commands on a tiny workspace: align, then score, and name what was mistyped."""

import runpy
import shutil
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from scipy import sparse

from cell_synergy.data import embeddings
from cell_synergy.downstream import run_benchmarks
from cell_synergy.downstream.method_scores import read_posteriors
from cell_synergy.finetuning import run_alignment
from tests import labelled

ROOT = Path(__file__).parents[2]
TINY = {
    "source": {"kind": "folder", "folder": "nowhere"}, "reader": "tiny",
    "unit_um": 100.0, "standardise": "train", "split": "leave-one-donor-out",
    "tasks": {"region": {"kind": "classification"}},
    "roles": {"study": ["A", "B", "C"]},
}  # fmt: skip
SMALL = [
    "models.hidden=8", "models.width=8", "training.max_epochs=2", "training.batch_size=32",
    "align.seeds=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Make a folder with params.yaml, dvc.yaml, pairs and embeddings of three donors.

    The region is 1 where a feature of the image and one of the expression have the same sign.
    """
    made = tmp_path_factory.mktemp("pristine")
    rng = np.random.default_rng(0)
    yaml = YAML(typ="safe")
    params = yaml.load(ROOT / "params.yaml")
    params["threads"] = 1
    params["data"]["tiny"] = TINY
    with (made / "params.yaml").open("w") as file:
        yaml.dump(params, file)
    (made / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    image, expression = (rng.standard_normal((120, d)).astype(np.float32) for d in (10, 8))
    region = np.where(image[:, 0] * expression[:, 0] > 0, "same", "other")
    donor = pd.Categorical(np.repeat(list("ABC"), 40))
    obs = pd.DataFrame({"donor": donor, "section": donor}, index=[f"u{i}" for i in range(120)])
    obs["region"] = pd.Categorical(region)
    counts = sparse.csr_matrix(rng.poisson(2, (120, 5)).astype(np.float32))
    units = ad.AnnData(counts, obs=obs, obsm={"spatial": rng.uniform(0, 900, (120, 2))})
    units.var["panel"] = False
    units.uns = {"source": "tiny"}
    labelled.write(made / "data", "tiny", units, {"region": {"kind": "classification"}})
    for kind, array in (("image", image), ("expression", expression)):
        path = made / "data/embeddings/tiny" / f"{params['experts'][kind]}.h5ad"
        embeddings.write(path, array, units.obs_names, {"encoder": "test"})
    return made


@pytest.fixture
def workspace(pristine, tmp_path, monkeypatch):
    """Enter a copy of that folder."""
    shutil.copytree(pristine, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def align(*words):
    named = [] if any(word.startswith("data.dataset=") for word in words) else ["data.dataset=tiny"]
    run_alignment.main(["--config-name", "align", *named, *words])


def benchmark(*words):
    run_benchmarks.main(["--config-name=downstream", "data.dataset=tiny", *words])


def files(folder):
    """Return the names of all files, records of what was written aside."""
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    return {name for name in found if not name.endswith(".written.json")}


def test_align_then_judge_writes_under_runs_only(workspace, capsys):
    before = files(workspace)
    align("models.name=simclr", *SMALL)
    folder = f"runs/align/tiny/{','.join(['simclr', *SMALL])}"
    assert capsys.readouterr().out == f"written: {folder}\n"
    written = files(workspace) - before
    names = [f"{fold}-{seed}" for fold in "ABC" for seed in (0, 1)]
    assert {f"{folder}/{name}.safetensors" for name in names} <= written
    curves = folder.replace("runs/align", "runs/curves")
    assert all(path.startswith((f"{folder}/", f"{curves}/")) for path in written)
    method = ["models.hidden=8", "models.width=8", "evaluation.align_method=simclr"]
    benchmark("evaluation.modality=multimodal", f"evaluation.weights={folder}", *method)
    name = ",".join(["simclr", f"evaluation.weights={Path(folder).name}", *method[:2]])
    assert capsys.readouterr().out == f"written: runs/probe/tiny/{name}.csv\n"
    judged = files(workspace) - before - written
    assert judged == {f"runs/probe/tiny/{name}.csv", f"runs/probe/tiny/{name}.safetensors"}
    scores = pd.read_csv(f"runs/probe/tiny/{name}.csv")
    # folds, metrics, seeds of the linear probe and one of the other; folds, training donors
    assert len(scores) == 3 * 4 * (2 + 1) + 3 * 2
    assert set(scores.method) == {"simclr"}
    posteriors = read_posteriors(Path(f"runs/probe/tiny/{name}.safetensors"))
    keys = {f"region/{fold}" for fold in "ABC"}
    assert set(posteriors) == keys | {f"{key}/probe" for key in keys}
    assert all(posteriors[key].shape == (40, 2) for key in keys)


def test_the_same_commands_write_the_same_bytes(workspace):
    for out in ("one", "two"):
        align("models.name=simclr", *SMALL, f"out={out}/weights", f"curves={out}/curves")
        benchmark(
            "evaluation.modality=multimodal", "evaluation.align_method=simclr",
            "models.hidden=8", "models.width=8", f"evaluation.weights={out}/weights",
            f"out={out}/",
        )  # fmt: skip
    assert files(workspace / "one") == files(workspace / "two")
    for name in files(workspace / "one"):
        assert (workspace / "one" / name).read_bytes() == (workspace / "two" / name).read_bytes()
    assert not (workspace / "runs").exists()


@pytest.mark.parametrize(
    ("modality", "method"), [("unimodal_img", "image"), ("unimodal_gex", "expression")]
)
def test_a_modality_is_judged_by_the_words_of_the_reference_release(modality, method, workspace):
    align(f"models.name={method}")
    weights = f"evaluation.weights=runs/align/tiny/{method}"
    benchmark(f"evaluation.modality={modality}", weights, "out=scores.csv")
    scores = pd.read_csv("scores.csv")
    assert set(scores.method) == {method}
    assert len(scores) == 3 * 4 * 2 + 3 * 2  # folds, metrics, probes; folds, training donors
    assert workspace.joinpath("scores.safetensors").is_file()


def test_multimodal_alone_judges_the_focal_method(workspace, capsys):
    with pytest.raises(SystemExit, match=r"results/align/tiny.comm: no weights .* run `dvc repro"):
        benchmark("evaluation.modality=multimodal")
    assert not capsys.readouterr().out
    assert not (workspace / "runs").exists()


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["models.name=simclrr"], "did you mean 'simclr'"),
        (["models.name=simclr", "training.max_epoch=2"], "did you mean 'max_epochs'"),
        (["models.name=simclr", "models.widht=2"], "did you mean 'width'"),
        (["models.name=simclr", "outt=x"], "did you mean 'out'"),
        (["models.name=simclr", "out.x=1"], r"out\.x: out is a path; write out=PATH"),
        (["models.name=simclr", "curves.x=1"], r"curves\.x: curves is a path; write curves="),
        (["models.name=simclr", "data.dataset=tinyy"], "did you mean 'tiny'"),
        (["models.name=simclr", "training.max_epochs=0"], "max_epochs.*greater than 0, got 0"),
        (
            ["models.name=simclr", "training.batch_size=128"],
            r"training\.batch_size: 128 is more than the 72 training pairs",
        ),
        ([], r"models\.name=NAME is missing"),
        (["models.name"], "is not of the form name.key=value"),
    ],
)
def test_a_mistake_ends_the_alignment_with_its_remedy(words, message):
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        align(*words)
    assert not Path("runs").exists() or not files(Path("runs"))


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluation.align_method=comn", "evaluation.modality=multimodal"], "did you mean 'comm'"),
        (["evaluation.modality=unimodal"], "evaluation.modality: no 'unimodal' .*unimodal_gex"),
        ([], "evaluation.modality: missing"),
        (["evaluation.modality=unimodal_img", "evaluation.weight=x"], "did you mean 'weights'"),
        (["evaluation.modality=unimodal_img", "probe.strength=3"], "did you mean 'strengths'"),
    ],
)
def test_a_mistake_ends_the_benchmark_with_its_remedy(words, message):
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        benchmark(*words)


@pytest.mark.usefixtures("workspace")
def test_weights_of_another_shape_are_refused():
    align("models.name=simclr", *SMALL, "out=weights")
    with pytest.raises(SystemExit, match=r"error: weights of another network: .*; align again"):
        benchmark(
            "evaluation.modality=multimodal", "evaluation.align_method=simclr",
            "evaluation.weights=weights",
        )  # fmt: skip


@pytest.mark.parametrize("command", [run_alignment, run_benchmarks])
def test_help_is_the_commands_own_description(command, capsys):
    command.main(["--help"])
    assert capsys.readouterr().out == command.__doc__


@pytest.mark.parametrize(
    ("command", "name"), [(run_alignment, "align"), (run_benchmarks, "downstream")]
)
def test_another_config_name_is_refused_with_the_right_one(command, name):
    with pytest.raises(SystemExit, match=f"--config-name {name}s: unknown.*did you mean '{name}'"):
        command.main(["-cn", f"{name}s"])


def test_the_modules_run_as_programs(monkeypatch, capsys):
    module = "cell_synergy.finetuning.run_alignment"
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    monkeypatch.delitem(sys.modules, module)
    # or what the test's type checks made of it would be the cached code of everybody
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    runpy.run_module(module, run_name="__main__")
    assert "Align two embeddings" in capsys.readouterr().out
