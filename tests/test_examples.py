"""The tutorials run on the results of a study, here a tiny one, and print what can be read."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cell_synergy.core.config import read_section
from cell_synergy.core.pipeline import paths

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("example_*.py"))
METHODS = ("image", "expression", "concat", "comm")
PRINTED = {
    "example_compute_sis": (["lung", "cell_type"], "Multimodal CoMM, F1 Macro: SIS +0.093"),
    "example_align_comm": (["lung", "2"], "train loss of holdout-0, epoch by epoch:"),
    "example_evaluate_f1_r2": ([], "composition +r2 "),
    "example_spatial_consistency": ([], "roc_auc"),
    "example_spatial_neighbors": ([], "0 to [0-9]+ um"),
    "example_finetune_nicheformer": ([], "last: [0-2] rounds"),
}


def shrink(params):
    """Make the study tiny: one twin with a few small sections, four methods, few epochs."""
    params["datasets"], params["models"] = ["lung"], {k: params["models"][k] for k in METHODS}
    lung = params["data"]["lung"]
    roles = {"reference": "RS", "train": "ABC", "probe": "P", "test": "TU"}
    lung["roles"] = {role: list(donors) for role, donors in roles.items()}
    lung["source"] |= {"regions": 6, "cell_types": 2}
    lung["source"]["units"] = {role: [8, 10] for role in roles}
    params["encoders"]["pca"]["components"] = 8
    params["encoders"]["efficientnet_lite0"]["input_px"] = 64
    params["encoders"]["nicheformer_small"] |= {"width": 12, "heads": 2, "ranks": 12}
    params["encoders"]["nicheformer_small"]["pretraining"]["epochs"] = 1
    params["training"] |= {"max_epochs": 2, "batch_size": 32}
    params["align"]["seeds"] = 1
    params["finetune"] |= {"rounds": 2, "steps": 4}
    params["probe"]["mlp"] |= {"hidden": 8, "epochs": 2}
    params["spatial"]["least"] = 2


def stage(name, **item):
    """Run one stage as dvc.yaml has it."""
    experts = read_section("experts")
    words = [f"{key}={word}" for key, word in paths(name, item, experts).items()]
    before, sys.argv = sys.argv, [name, *words]
    try:
        runpy.run_path(str(ROOT / "stages" / f"{name}.py"), run_name="__main__")
    finally:
        sys.argv = before


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with what the examples read."""
    where = tmp_path_factory.mktemp("study")
    shutil.copy(ROOT / "dvc.yaml", where)
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    shrink(params)
    yaml.dump(params, where / "params.yaml")
    (where / "src").symlink_to(ROOT / "src")
    experts = params["experts"]
    with chdir(where):
        stage("download", dataset="lung")
        stage("pairs", dataset="lung")
        for expert in experts.values():
            stage("embed", dataset="lung", expert=expert)
        for method in METHODS:
            stage("align", dataset="lung", method=method)
            stage("evaluate", dataset="lung", method=method)
        stage("sis")
    return where


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_every_example_is_run_and_explained():
    assert {path.stem for path in EXAMPLES} == set(PRINTED)
    explained = (ROOT / "examples/README.md").read_text()
    assert set(re.findall(r"`(example_\w+)\.py", explained)) == set(PRINTED)


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_each_example_prints_its_result_and_writes_to_runs_only(path, study):
    words, printed = PRINTED[path.stem]
    before = files(study)
    done = subprocess.run(
        [sys.executable, path, *words], cwd=study, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(printed.replace("+0", r"\+0"), done.stdout), done.stdout
    assert all(name.startswith("runs/") for name in files(study) - before)


@pytest.mark.slow
def test_a_data_set_that_is_not_there_is_one_sentence(study):
    done = subprocess.run(
        [sys.executable, ROOT / "examples/example_evaluate_f1_r2.py", "lugn"], cwd=study,
        capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "did you mean 'lung'" in done.stderr
    assert "Traceback" not in done.stderr
