"""The whole study, small: one tiny twin through every stage with DVC, as a user would run it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cell_synergy.core.code import SourceTree
from cell_synergy.core.fingerprint import fingerprint
from tests import guard

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

# Python runs it at every start, also of a notebook's kernel: it notes which files of the repository
# a stage executes, however they are imported.
WATCH = """
import os, sys
stage, root = (os.environ.get(name, "") for name in ("DVC_STAGE", "DVC_ROOT"))
def note(event, given):
    if event == "exec" and given[0].co_filename.startswith(root + "/"):
        with open(f"{root}/runs/ran/{stage}", "a") as file:
            file.write(os.path.relpath(given[0].co_filename, root) + "\\n")
if stage:
    sys.addaudithook(note)
"""


def shrink(params):
    """Make the study tiny: one twin with a few small sections, few epochs."""
    params["datasets"] = ["lung"]
    lung = params["data"]["lung"]
    roles = {"reference": "RS", "train": "AB", "probe": "PQ", "test": "TUVW"}
    lung["roles"] = {role: list(donors) for role, donors in roles.items()}
    lung["source"] |= {"regions": 6, "cell_types": 2}
    lung["source"]["units"] = {role: [8, 10] for role in roles}
    params["encoders"]["pca"]["components"] = 8
    params["encoders"]["efficientnet_lite0"]["input_px"] = 64
    params["training"] |= {"max_epochs": 3, "batch_size": 32}
    blocks = [*params["models"].values(), *params["trifeature"]["methods"].values()]
    for block in blocks:
        if "components" in block:
            block["components"] = 8
    params["align"]["seeds"] = 2
    params["trifeature"] |= {"image_width": 24, "expression_width": 16}
    params["trifeature"] |= {"pairs": 300, "probe_pairs": 600, "max_epochs": 1}
    params["calibrate"] |= {"designs": ["5x40"], "train": 3, "repeats": 1}
    params["spectrum"] |= {"axes": 8, "permutations": 20}
    params["spatial"] |= {"least": 4}
    params["scaling"] |= {"draws": 1, "pairs": 10, "labels": 10}
    params["reach"] |= {"pairs": [60, 120], "labels": [40, 120]}
    params["reach"]["twin"] |= {"reference": 2, "train": 2, "probe": 2, "test": 5, "width": 8}
    params["finetune"] |= {"rounds": 2, "steps": 4}
    small = params["encoders"]["nicheformer_small"]
    small |= {"width": 12, "heads": 2, "ranks": 12}
    small["pretraining"]["epochs"] = 1
    params["probe"]["mlp"] |= {"hidden": 8, "epochs": 3}


def run(where, *words, check=True, **settings):
    environment = os.environ | {"PYTHONPATH": str(where / "src"), "OMP_NUM_THREADS": "1"}
    environment["CELL_SYNERGY_SCRATCH"] = str(where / "scratch")
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=where, env=environment | settings,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A repository that has run the tiny study once."""
    where = tmp_path_factory.mktemp("study")
    for name in ("src", "stages", "notebooks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, where / name, symlinks=True, ignore=ignored)
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, where / name)
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    shrink(params)
    yaml.dump(params, where / "params.yaml")
    (where / "figures").mkdir()
    subprocess.run(["git", "init", "-q"], cwd=where, check=True)
    run(where, "dvc", "init", "-q")
    commit(where)
    (where / "runs/ran").mkdir(parents=True)
    (where / "runs/sitecustomize.py").write_text(WATCH)
    run(where, "dvc", "repro", PYTHONPATH=f"{where / 'src'}:{where / 'runs'}")
    commit(where)
    return where


def commit(where):
    who = ("-c", "user.name=t", "-c", "user.email=t@t")
    subprocess.run(["git", "add", "."], cwd=where, check=True)
    subprocess.run(["git", *who, "commit", "-qm", "study"], cwd=where, check=True)


def test_every_figure_and_table_comes_out(study):
    for name in ("scaling", "sis", "spatial", "spectrum", "tissue", "trifeature", "truth"):
        for ending in ("pdf", "png"):
            assert (study / f"figures/{name}.{ending}").stat().st_size > 5000
    assert (study / "results/headline.json").is_file()
    assert len((study / "results/sis/lung.csv").read_text().splitlines()) > 100


def test_each_stage_depends_on_every_file_that_it_runs(study, monkeypatch):
    monkeypatch.chdir(study)
    tree = SourceTree(study / "src", study / "stages")
    instances = [stage for stage in guard.stages(study) if stage.name != "code"]
    for stage in instances:
        ran = set((study / "runs/ran" / stage.name).read_text().split())
        assert f"stages/{stage.name.partition('@')[0]}.py" in ran
        assert stage.name != "figures@sis" or "src/cell_synergy/figures/style.py" in ran
        (code,) = (file for file in stage.files if file.is_relative_to("results/code"))
        hashed = {line.split()[1] for line in (study / code).read_text().splitlines()}
        without = {name for name in ran - hashed if fingerprint(tree.source(study / name))}
        assert not without, stage.name
    assert len(instances) > 50


def test_a_second_run_does_nothing(study):
    lock = (study / "dvc.lock").read_bytes()
    done = run(study, "dvc", "repro")
    assert "Running stage" not in done.stdout
    assert (study / "dvc.lock").read_bytes() == lock


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("core/config.py", "is given twice", "was given twice", set()),
        ("models/byol.py", "deepcopy(", "copy_of(", {"align", "evaluate"}),
    ],
)
def test_a_change_of_code_reaches_its_users_alone(study, file, old, new, stale):
    path = study / "src/cell_synergy" / file
    before = path.read_text()
    path.write_text("# A comment.\n" + before.replace(old, new))
    run(study, "dvc", "repro", "code")
    found = set(re.findall(r"^(\S+):$", run(study, "dvc", "status").stdout, re.MULTILINE))
    path.write_text(before)
    run(study, "dvc", "repro", "code")
    every = {"spectrum@lung", "reach"} if stale else set()  # they may load every method
    assert found == {f"{kind}@lung-byol" for kind in stale} | every


def test_a_forced_run_gives_the_same_bytes(study):
    lock = (study / "dvc.lock").read_bytes()
    for stage in ("code", "download@lung", "pairs@lung", "embed@lung-pca", "align@lung-comm",
                  "evaluate@lung-comm", "decompose@lung", "sis", "spectrum@lung",
                  "scaling@lung-comm", "finetune@lung", "claims", "figures@sis"):  # fmt: skip
        run(study, "dvc", "repro", "-s", "-f", "--no-run-cache", stage)
    assert (study / "dvc.lock").read_bytes() == lock


def test_another_list_of_tasks_trains_nothing(study):
    yaml = YAML()
    params = yaml.load(study / "params.yaml")
    del params["data"]["lung"]["tasks"]["image_state"]
    yaml.dump(params, study / "params.yaml")
    run(study, "dvc", "repro", "pairs@lung")
    stale = set(re.findall(r"^(\S+):$", run(study, "dvc", "status").stdout, re.MULTILINE))
    subprocess.run(["git", "checkout", "-q", "params.yaml", "dvc.lock"], cwd=study, check=True)
    run(study, "dvc", "repro", "pairs@lung")
    kinds = {name.partition("@")[0] for name in stale}
    assert {"evaluate@lung-comm", "decompose@lung", "figures@sis"} <= stale
    assert not kinds & {"download", "pairs", "embed", "align", "calibrate", "trifeature"}


def test_another_focal_method_runs_only_what_depends_on_it(study):
    params = study / "params.yaml"
    params.write_text(params.read_text().replace("method: comm", "method: simclr"))
    done = run(study, "dvc", "repro", "--dry")
    subprocess.run(["git", "checkout", "-q", "params.yaml"], cwd=study, check=True)
    ran = set(re.findall(r"Running stage '([^']+)'", done.stdout))
    names = {file.stem for file in (ROOT / "notebooks").glob("*.py")} - {"calibrate"}
    drawn = {f"figures@{name}" for name in names}
    assert ran == {"scaling@lung-simclr", "claims", "headline", *drawn}


def test_a_stray_of_a_former_grid_is_refused_by_the_collector(study):
    stray = study / "results/probe/lung/former.csv"
    stray.write_text("dataset\n")
    words = ("scores=results/probe", "spatial=results/spatial", "out=runs/sis", "distance=runs/d")
    done = run(study, "stages.sis", *words, check=False)
    stray.unlink()
    assert done.returncode != 0
    assert "former, which params.yaml does not name; delete these files" in done.stderr
    assert not (study / "runs/sis").exists()


def test_a_killed_stage_leaves_no_output_and_continues_from_its_checkpoint(study):
    words = [
        "data.dataset=lung", "models.name=comm", "pairs=data/pairs/lung.h5ad",
        "image=data/embeddings/lung/efficientnet_lite0.h5ad",
        "expression=data/embeddings/lung/pca.h5ad", "training.max_epochs=4000", "align.seeds=1",
    ]  # fmt: skip
    code = (
        "import sys; from cell_synergy.training import loop as t;"
        "t.SECONDS_BETWEEN_CHECKPOINTS = 0.1; from cell_synergy.core.config import arguments;"
        "from cell_synergy.finetuning.run_alignment import Args, run;"
        "run(arguments(Args, sys.argv[1:]))"
    )
    scratch = study / "kill"
    settings = {"PYTHONPATH": str(study / "src"), "CELL_SYNERGY_SCRATCH": str(scratch)}
    started = subprocess.Popen(
        [sys.executable, "-c", code, *words, "out=runs/killed", "curves=runs/curves"], cwd=study,
        env=os.environ | settings, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(600):
        time.sleep(0.1)
        if list(scratch.glob("*.pt")):
            break
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert list(scratch.glob("*.pt")), "no checkpoint in a minute"
    assert not (study / "runs/killed").exists()
    kept = next(iter(scratch.glob("*.pt"))).name
    again = subprocess.Popen(
        [sys.executable, "-c", code, *words, "out=runs/killed", "curves=runs/curves"], cwd=study,
        env=os.environ | settings, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert again.stderr is not None
    first = again.stderr.read(120)
    again.kill()
    again.wait()
    assert (scratch / kept).is_file()
    assert re.search(r"\| [1-9]\d*/4000", first), first
