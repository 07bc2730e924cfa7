"""benchmarks/dvc.yaml must say what its stages are, run and read; tables are of the code here."""

import hashlib
import re
import subprocess
from contextlib import chdir
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from benchmarks import code, readme
from cell_synergy import models
from cell_synergy.core.code import SourceTree, listed
from cell_synergy.core.config import parse, validate
from tests import guard

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
PIPELINE = YAML(typ="safe").load(FOLDER / "dvc.yaml")["stages"]
STAGES = guard.stages(ROOT, "benchmarks/dvc.yaml")
RUN = [stage for stage in STAGES if stage.name != "code"]
LOCK_FILE = FOLDER / "dvc.lock"
LOCK = YAML(typ="safe").load(LOCK_FILE)["stages"] if LOCK_FILE.is_file() else {}
SCRIPTS = {file.stem: file for file in FOLDER.glob("[!_]*.py")}
TABLES = sorted(FOLDER.rglob("*.csv"))
SPEED = {"broja", "cca", "embedding", "epoch", "probes", "spatial", "tokenizer"}


COPY = "_study_copy.py: a section whose name cannot be read"


class BenchmarkCode(guard.Code):
    """The code of the benchmarks."""

    hashes = Path("results/benchmarks/code")
    folders = ("src", "stages", "benchmarks")
    per_module = code.PER_MODULE

    def _tree(self):
        return SourceTree(self.root / "src", self.root / "benchmarks")

    def _programs(self):
        return code.programs(self.tree)

    def wrong(self, stage):
        """Tables of other benchmarks are data; only code counts."""
        files = [file for file in stage.files if file.suffix not in {".csv", ".yaml"}]
        return super().wrong(replace(stage, files=files))

    def undeclared(self, stage):
        """A copy of the study reads all parameters, but `datasets` and what figures alone read."""
        undeclared = super().undeclared(stage)
        if self.root / "benchmarks/_study_copy.py" not in self.run_by(self.of(stage)):
            return undeclared
        sections = {*YAML(typ="safe").load(self.root / "params.yaml")} - {"circular", "datasets"}
        return sorted({line for line in undeclared if COPY not in line} | sections - stage.params)


CODE = BenchmarkCode(ROOT)
each_stage = pytest.mark.parametrize("stage", RUN, ids=[stage.name for stage in RUN])


def base(stage):
    return stage.name.partition("@")[0]


@each_stage
def test_a_benchmark_depends_on_the_hashes_of_its_own_code_alone(stage):
    assert not CODE.wrong(stage)


@each_stage
def test_declared_params_cover_the_sections_that_a_benchmark_reads(stage):
    assert not CODE.undeclared(stage)


@each_stage
def test_the_words_of_a_command_are_arguments_of_its_script(stage):
    assert stage.words[:3] == ["python", "-m", f"benchmarks.{base(stage)}"]
    script = import_module(f"benchmarks.{base(stage)}")
    assert validate(script.Args, parse(stage.words[3:]), "argument").out


def test_every_script_is_a_stage_or_says_that_it_is_a_library():
    assert {base(stage) for stage in STAGES} == {*SCRIPTS} - {"readme"}


def test_the_stage_code_stands_first_and_depends_on_every_script():
    first = STAGES[0]
    assert [stage.name for stage in STAGES if stage.first] == ["code"] == [first.name]
    scripts = {file.relative_to(ROOT) for file in FOLDER.glob("*.py")}
    others = {Path("src"), Path("stages/__init__.py"), Path("stages/code.py")}
    assert set(first.files) == scripts | others


def test_every_code_file_belongs_to_a_stage_or_to_a_method_without_one(tmp_path):
    with chdir(ROOT):
        out = tmp_path / "code"
        code.main(code.Args(src=Path("src"), scripts=Path("benchmarks"), out=out))
    made = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    named = {str(CODE.of(stage).relative_to(CODE.hashes)) for stage in RUN}
    assert named <= made
    assert made - named <= {f"{stage}/{m}" for stage in code.PER_MODULE for m in models.names()}


def test_no_stage_of_the_study_depends_on_a_benchmark():
    places = (Path("benchmarks"), Path("results/benchmarks"))
    used = [file for stage in guard.stages(ROOT) for file in stage.files]
    assert not [file for file in used if any(file.is_relative_to(place) for place in places)]


def test_every_committed_table_is_the_output_of_one_stage():
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "benchmarks"], cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listing.returncode:
        pytest.skip("not a git repository")
    tables = {name for name in listing.stdout.splitlines() if name.endswith(".csv")}
    made = {stage.arguments["out"]: stage.name for stage in RUN}
    assert len(made) == len(RUN)
    assert {str(file.relative_to(ROOT)) for file in TABLES} == tables
    assert not [name for name in tables if name not in made and f"{Path(name).parent}" not in made]


def test_tables_of_time_are_marked_and_no_other_has_seconds():
    marked = {name for name, stage in PIPELINE.items() if (stage.get("meta") or {}).get("speed")}
    assert marked == SPEED
    timed = {
        str(file.relative_to(FOLDER).with_suffix("")).partition("/")[0]
        for file in TABLES
        if re.search(r"second|cpu|clock", file.read_text("utf-8").partition("\n")[0])
    }
    assert timed <= SPEED


@each_stage
def test_a_table_was_made_by_the_code_that_is_here(stage):
    """Whoever changes what a benchmark measures runs it again."""
    if stage.name not in LOCK:
        pytest.skip("has never run")
    name = CODE.of(stage)
    recorded = {dep["path"]: dep["md5"] for dep in LOCK[stage.name]["deps"]}
    text = listed(CODE.tree, CODE.run_by(name))
    assert recorded[str(name)] == hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_the_lock_file_has_no_stage_that_is_no_more():
    assert set(LOCK) <= {stage.name for stage in STAGES}


@pytest.mark.parametrize("file", TABLES, ids=[str(f.relative_to(FOLDER)) for f in TABLES])
def test_every_committed_table_can_be_rendered(file):
    name = str(file.relative_to(FOLDER).with_suffix("")).partition("/")[0]
    text = readme.BENCHMARKS[name.replace("_", " ")](FOLDER)
    header, rule, *rows = text.splitlines()
    assert rows
    assert {line.count("|") for line in (header, rule, *rows)} == {header.count("|")}
    assert "nan" not in text


def test_every_benchmark_has_a_rendering():
    assert {name.replace(" ", "_") for name in readme.BENCHMARKS} == {base(stage) for stage in RUN}
