"""The small study on a real SLURM: one twin, three methods."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
METHODS = ("comm", "cca", "concat")
TARGETS = [f"evaluate@lung-{method}" for method in METHODS]
SITE = "default: {mem: 900M}\nembed: {mem: 900M}\nalign: {mem: 900M, time: '00:10:00'}\n"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The repository with the tiny twin of tests/test_study.py, nothing computed."""
    where = tmp_path_factory.mktemp("cluster-study") / "study"
    ignored = shutil.ignore_patterns("__pycache__", "profiles.local.yaml")
    for name in ("src", "stages", "notebooks", "runner", "slurm"):
        shutil.copytree(ROOT / name, where / name, symlinks=True, ignore=ignored)
    for name in ("dvc.yaml", "pyproject.toml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, where / name)
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    runpy.run_path(str(ROOT / "tests/test_study.py"))["shrink"](params)
    yaml.dump(params, where / "params.yaml")
    subprocess.run(["git", "init", "-q"], cwd=where, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=where, check=True)
    with (where / ".gitignore").open("a") as file:
        file.write("/slurm/profiles.local.yaml\n")
    (where / "slurm/profiles.local.yaml").write_text(SITE)
    return where


def test_the_cluster_computes_what_one_machine_computes(study, commit, run, cluster):
    commit(study)
    alone = study.with_name("alone")
    subprocess.run(["git", "clone", "-q", str(study), str(alone)], check=True)
    assert run(alone, "runner.local", *TARGETS)[0] == 0
    code, _, err = run(study, "slurm.submit", *TARGETS)
    assert code == 0, err
    assert (study / "dvc.lock").read_bytes() == (alone / "dvc.lock").read_bytes()
    assert run(study, "runner.local", "--dry", *TARGETS)[1] == ""
    jobs = {f.parent.name: f.read_text() for f in study.glob(".dvc/tmp/slurm/*/stages/*/job")}
    assert len({jobs[f"align@lung-{method}"].partition("_")[0] for method in METHODS}) == 1
    assert cluster.jobs() == []


def test_training_out_of_time_continues_from_its_checkpoint(
    study, commit, run, cluster, eventually
):
    commit(study)
    local = study / "slurm/profiles.local.yaml"
    local.write_text(f"{SITE}align@lung-comm: {{time: 2, warning: 10}}\n")
    words = ("-S", "training.max_epochs=100000", "--no-wait", "align@lung-comm")
    code, _, err = run(study, "slurm.submit", *words)
    assert code == 0, err
    log = next(study.glob(".dvc/tmp/slurm/*-*/stages/align@lung-comm")) / "log"  # the variant's

    def resumed():
        again = log.read_text().partition("out of time: queued again")[2] if log.exists() else ""
        return re.search(r"\| [1-9]\d*/100000 ", again.partition("\r")[0])

    assert eventually(resumed, 400), log.read_text()[-2000:]
    assert not os.path.lexists(log.with_name("exit"))
    cluster.clear()
