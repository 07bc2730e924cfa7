"""dvc.yaml must say what its stages are, run and read; mutations show that the guard sees it."""

import os
import shutil
import subprocess
import sys
from collections import defaultdict
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import jupytext
import pytest
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides

from cell_synergy import encoders, models
from cell_synergy.core.code import SourceTree
from cell_synergy.core.config import read_param, read_section
from cell_synergy.models import comm, shuffled
from stages import code
from tests import guard

ROOT = Path(__file__).parents[1]
STAGES = guard.stages(ROOT)
RUN = [stage for stage in STAGES if stage.name != "code"]
CODE = guard.Code(ROOT)
BY_NAME = defaultdict(list)
for _stage in STAGES:
    BY_NAME[_stage.name.split("@")[0]].append(_stage)


def of_other_experts():
    """Return what `embed` of one data set becomes with experts that are not in use."""
    used = read_section("experts").values()
    for stage in BY_NAME["embed"]:
        own, dataset = stage.arguments.get("expert", ""), stage.name.partition("@")[2]
        if not dataset.startswith(f"{read_param('datasets')[0]}-"):
            continue
        for other in sorted({*encoders.names()} - {*used}):
            words, files, params = (
                [str(text).replace(own, other) for text in texts]
                for texts in (stage.words, stage.files, stage.params)
            )
            name = stage.name.replace(own, other)
            yield guard.Stage(name, words, list(map(Path, files)), set(params))


FOLDERS = ("src", "stages", "notebooks")
OTHERS = {stage.name: stage for stage in of_other_experts()}
_EVERY = [*RUN, *OTHERS.values()]
each_stage = pytest.mark.parametrize("stage", _EVERY, ids=[stage.name for stage in _EVERY])


@each_stage
def test_a_stage_depends_on_the_hashes_of_its_own_code_alone(stage):
    assert not CODE.wrong(stage)


@each_stage
def test_declared_params_cover_the_sections_that_a_stage_reads(stage):
    assert not CODE.undeclared(stage)


def test_the_stage_code_stands_first_and_depends_on_all_there_is():
    first = STAGES[0]
    assert first.name == "code"
    assert not first.params
    assert set(first.files) == {Path(first.arguments[name]) for name in FOLDERS}
    assert [stage.name for stage in STAGES if stage.first] == ["code"]


def test_every_code_file_is_written_and_one_without_a_stage_is_of_an_unused_module(tmp_path):
    given = STAGES[0].arguments | {"out": str(tmp_path / "code")}
    with chdir(ROOT):
        code.main(code.Args(**{name: Path(word) for name, word in given.items()}))
    files = [path for path in (tmp_path / "code").rglob("*") if path.is_file()]
    made = {str(path.relative_to(tmp_path / "code")) for path in files}
    named = {str(CODE.of(stage).relative_to(CODE.hashes)) for stage in RUN}
    assert named <= made
    left_out = {
        f"{stage}/{name}"
        for stage, package in code.PER_MODULE.items()
        for name in (encoders if package.endswith("encoders") else models).names()
    }
    assert made - named <= left_out


def scripts(root):
    return {file.stem for file in (root / "stages").glob("*.py")} - {"__init__"}


def test_every_stage_has_one_script_of_its_name():
    assert set(BY_NAME) == scripts(ROOT)


def test_every_notebook_is_a_figure():
    drawn = {stage.arguments["notebook"] for stage in BY_NAME["figures"]}
    assert drawn == {f"notebooks/{file.name}" for file in (ROOT / "notebooks").glob("*.py")}


def test_every_figure_depends_on_what_it_draws_and_on_nothing_else():
    """So that a side stage which fails keeps no other figure from being drawn."""
    for stage in BY_NAME["figures"]:
        source = jupytext.read(ROOT / stage.arguments["notebook"])
        (cell,) = [c.source for c in source.cells if "parameters" in c.metadata.get("tags", [])]
        given: dict[str, str] = {}
        exec(cell, given)  # noqa: S102 - plain assignments of paths
        drawn = {path for name, path in given.items() if name not in ("figure", "__builtins__")}
        made = {str(file) for file in stage.files if file != CODE.of(stage)}
        assert made == drawn, stage.name


def test_every_figure_declares_the_parameters_that_its_notebook_reads_and_no_others():
    image_expert = f"encoders.{read_param('experts.image')}"
    for stage in BY_NAME["figures"]:
        reads = guard.reads(CODE.tree.source(ROOT / stage.arguments["notebook"]))
        read = {str(each).replace("encoders.*", image_expert) for each in reads}
        # A slot cannot be empty: the figure that reads no parameter declares that of its stage.
        assert stage.params == (read or {"calibrate"}), stage.name


def test_studies_without_tissue_come_last():
    names = [stage.name.split("@")[0] for stage in STAGES]
    last = max(place for place, name in enumerate(names) if name in ("sis", "headline", "finetune"))
    assert min(names.index("calibrate"), names.index("trifeature")) > last


def test_the_stages_are_the_grid_of_params():
    datasets = read_param("datasets")
    grid = {f"{d}-{m}" for d in datasets for m in models.names()}
    for name in ("align", "evaluate"):
        assert {stage.name for stage in BY_NAME[name]} == {f"{name}@{cell}" for cell in grid}
    experts = read_section("experts")
    cells = {f"embed@{d}-{e}" for d in datasets for e in experts.values()}
    assert {stage.name for stage in BY_NAME["embed"]} == cells


def test_there_are_fewer_than_220_stages_and_no_scheduler_in_their_commands():
    assert len(STAGES) < 220  # the cost of DVC itself is quadratic in them
    assert not [s.name for s in STAGES if {"srun", "sbatch", "dvc"} & set(s.words)]


@pytest.mark.slow
def test_the_lock_file_matches_code_and_params():
    with Repo(str(ROOT)) as repo:
        assert not repo.reproduce(dry=True, allow_missing=True)


def test_choosing_another_focal_method_changes_one_line_of_params(tmp_path):
    copy = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", copy)
    apply_overrides(copy, ["method=simclr"])
    before, after = (p.read_text().splitlines() for p in (ROOT / "params.yaml", copy))
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert changed == [("method: comm", "method: simclr")]


def test_the_shuffled_control_is_comm_value_for_value():
    assert read_section("models.shuffled") == read_section("models.comm") | {
        "pairing": "within-donor"
    }
    assert shuffled.Model is comm.Model


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A copy of everything the guard reads."""
    where = tmp_path_factory.mktemp("pristine")
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, where / name, symlinks=True, ignore=ignored)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, where / name)
    Repo.init(str(where), no_scm=True).close()
    return where


@pytest.fixture
def tree(pristine, tmp_path, monkeypatch):
    """A copy of it to change."""
    where = shutil.copytree(pristine, tmp_path / "tree", symlinks=True)
    monkeypatch.chdir(where)
    return where


def test_a_new_method_is_one_file_and_one_block(tree):
    (tree / "src/cell_synergy/models/mine.py").write_text(MINE)
    edit(tree / "params.yaml", "  image: {}\n", "  image: {}\n  mine:\n    width: 5\n")
    instances, changed = guard.stages(tree), guard.Code(tree)
    added = {stage.name for stage in instances} - {stage.name for stage in STAGES}
    kinds = ("align", "evaluate")
    assert added == {f"{kind}@{d}-mine" for kind in kinds for d in read_param("datasets")}
    for stage in (find(f"{kind}@lung-mine", instances) for kind in kinds):
        assert not changed.wrong(stage)
        assert not changed.undeclared(stage)
        assert tree / "src/cell_synergy/models/mine.py" in changed.run_by(changed.of(stage))
    program = (
        "from cell_synergy import models; from cell_synergy.core.config import read_section;"
        "print(models.load('mine', read_section('models.mine')).width)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tree, text=True, capture_output=True, check=True,
        env=os.environ | {"PYTHONPATH": str(tree / "src")},
    )  # fmt: skip
    assert done.stdout == "5\n"


MINE = '''
"""A method of somebody's own."""

import numpy as np

from cell_synergy.training.method import ClosedForm


class Model(ClosedForm):
    """`width` of the joint embedding."""

    width: int

    def solve(self, pairs, seed):
        return {}

    def transform(self, weights, image, expression):
        return np.concatenate([image, expression], axis=1)[:, : self.width]
'''


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def find(name, instances=STAGES):
    return next(stage for stage in instances if stage.name == name)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"results/code/evaluate/comm": None}, ["results/code/evaluate/comm"]),
        ({"": "results/code/sis"}, ["results/code/sis"]),
        ({"": "results/code"}, ["results/code"]),
        ({"": "src/cell_synergy/models/byol.py"}, ["src/cell_synergy/models/byol.py"]),
        ({"": "src/cell_synergy/models"}, ["src/cell_synergy/models"]),
        ({"": "stages"}, ["stages"]),
        ({"": "notebooks/sis.py"}, ["notebooks/sis.py"]),
        (
            {"results/code/evaluate/comm": "results/code/align/comm"},
            ["results/code/align/comm", "results/code/evaluate/comm"],
        ),
        (
            {"results/code/evaluate/comm": "results/code/evaluate/byol"},
            ["results/code/evaluate/byol", "results/code/evaluate/comm"],
        ),
    ],
)
def test_the_guard_sees_a_wrong_dep_on_code(change, seen):
    stage = find("evaluate@lung-comm")
    files = {str(file) for file in stage.files} - {*change} | set(filter(None, change.values()))
    assert CODE.wrong(replace(stage, files=[Path(file) for file in files])) == seen


def test_the_guard_sees_a_param_read_through_any_function(tree):
    judging = tree / "src/cell_synergy/downstream/evaluate.py"
    judging.write_text(
        "from cell_synergy.core.config import read_section\n" + judging.read_text()
        + "\n\ndef _hidden():\n    return read_section('training')['lr']\n"
    )  # fmt: skip
    stage = find("evaluate@lung-comm")
    assert guard.Code(tree).undeclared(stage) == ["evaluate.py: training"]
    edit(judging, "read_section('training')", "read_section(''.join(['train', 'ing']))")
    assert "cannot be read" in guard.Code(tree).undeclared(stage)[0]


@pytest.mark.parametrize(
    "lines",
    [
        "from cell_synergy.core.config import read_section as s\nX = s('training')\n",
        "import cell_synergy.core.config as c\nX = c.read_section('training')\n",
        "from cell_synergy.core.config import read_section\nf = read_section\nX = f('training')\n",
        "X = YAML().load('params.yaml')\n",
        "X = open('params.yaml').read()\n",
    ],
)
def test_the_guard_sees_a_param_read_in_disguise(tmp_path, lines):
    (tmp_path / "judging.py").write_text(lines)
    source = SourceTree(tmp_path, tmp_path / "stages").source(tmp_path / "judging.py")
    assert None in guard.reads(source)


def test_the_guard_sees_a_stage_without_script(tree):
    (tree / "stages/sis.py").unlink()
    assert set(BY_NAME) - scripts(tree) == {"sis"}
