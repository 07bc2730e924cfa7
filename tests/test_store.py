"""The embedded store: what `git clone` and `dvc pull` bring, without network."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from benchmarks import readme

ROOT = Path(__file__).parents[1]
STORE = ROOT / "dvcstore/files/md5"
LOCK = YAML(typ="safe").load(ROOT / "dvc.lock")["stages"]
OUTS = [out for stage in LOCK.values() for out in stage["outs"]]
BENCHMARKS = ROOT / "benchmarks/dvc.lock"  # written by the first run of a benchmark
CODE = "results/benchmarks/code"  # the one output of benchmarks that is not in git
IN_GIT = {".png"}  # figures for README are not cached

# Megabytes of the default study, by what they are; all of them together are at most 78: lung
# has more tissue, so that the matched niche can be learnt.
BUDGETS = {
    "results/code": 0.7,
    "data/raw": 25,
    ("data/pairs", "data/labels"): 4,
    ("data/embeddings", "data/experts"): 27,
    ("results/align", "results/curves"): 15.5,
    ("data/reference", "results/probe", "results/truth", "results/sis", "results/headline.json",
     "figures", "results/notebooks", "results/trifeature", "results/information",
     "results/calibrate.csv"): 11,
    ("results/spatial", "results/distance", "results/spectrum", "results/scaling",
     "results/finetune", "results/claims", "results/limits.csv", "results/reach.csv"): 6.5,
}  # fmt: skip


def cached():
    return [out for out in OUTS if Path(out["path"]).suffix not in IN_GIT]


def of_benchmarks():
    """Return the outputs of benchmarks that the store holds."""
    stages = YAML(typ="safe").load(BENCHMARKS)["stages"] if BENCHMARKS.is_file() else {}
    outs = [out for stage in stages.values() for out in stage["outs"]]
    return [out for out in outs if out["path"] == CODE]


def place(md5):
    return STORE / md5[:2] / md5[2:]


def objects():
    """Return the hash of every object that dvc.lock names, files inside folders included."""
    named = {out["md5"] for out in (*cached(), *of_benchmarks())}
    for md5 in [m for m in named if m.endswith(".dir")]:
        named |= {entry["md5"] for entry in json.loads(place(md5).read_text())}
    return named


@pytest.mark.parametrize("places", BUDGETS)
def test_each_share_of_the_study_keeps_its_budget(places):
    prefixes = (places,) if isinstance(places, str) else places
    size = sum(out["size"] for out in cached() if out["path"].startswith(prefixes))
    assert 0 < size < BUDGETS[places] * 1e6


def test_every_output_has_a_budget():
    known = tuple(
        p for places in BUDGETS for p in ([places] if isinstance(places, str) else places)
    )
    assert not [out["path"] for out in OUTS if not out["path"].startswith(known)]


def test_the_lock_file_has_no_stage_that_is_no_more():
    with Repo(str(ROOT)) as repo:
        assert set(LOCK) == {
            str(s.addressing) for s in repo.index.stages if s.path_in_repo == "dvc.yaml"
        }


def test_the_store_holds_what_dvc_lock_names_and_nothing_else():
    held = {f.parent.name + f.name for f in STORE.rglob("*") if f.is_file()}
    assert held == objects()


def test_every_object_has_the_content_of_its_name():
    for file in STORE.rglob("*"):
        if file.is_file():
            name = (file.parent.name + file.name).removesuffix(".dir")
            assert hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() == name


def test_nothing_in_the_store_may_not_be_passed_on():
    data = YAML(typ="safe").load(ROOT / "params.yaml")
    assert not [name for name in data["datasets"] if "hub" in str(data["data"][name]["source"])]
    cards = [
        json.loads(place(entry["md5"]).read_text())
        for out in OUTS
        if out["path"].startswith("data/experts")
        for entry in json.loads(place(out["md5"]).read_text())
        if entry["relpath"] == "card.json"
    ]
    assert len(cards) == len(data["datasets"]) * len(set(data["experts"].values()))
    assert all(card.get("redistribute", True) for card in cards)


def test_make_store_refuses_what_may_not_be_passed_on(tmp_path):
    card = tmp_path / "data/experts/lung/uni2_h/card.json"
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"redistribute": False}, indent=1))
    (tmp_path / "dvcstore").mkdir()
    make = ["make", "-f", str(ROOT / "Makefile"), "store", "-o", "install"]
    found = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode != 0
    assert "may not be passed on" in found.stderr
    assert (tmp_path / "dvcstore").is_dir()


def test_the_tables_of_readme_are_those_of_the_results(tmp_path):
    for out in cached():
        path = tmp_path / out["path"]
        if out["path"].startswith(("results/sis", "results/truth", "results/information")):
            files = {path: out["md5"]}
            if out["md5"].endswith(".dir"):
                listed = json.loads(place(out["md5"]).read_text())
                files = {path / entry["relpath"]: entry["md5"] for entry in listed}
            for file, md5 in files.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(place(md5).read_bytes())
        elif out["path"] == "results/claims.md":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(place(out["md5"]).read_bytes())
    text = (ROOT / "README.md").read_text()
    assert readme.rendered(text, tmp_path / "results") == text


def test_the_store_is_at_most_78_megabytes():
    assert sum(f.stat().st_size for f in STORE.rglob("*") if f.is_file()) < 78e6
