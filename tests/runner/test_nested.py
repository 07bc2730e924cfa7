"""Pipelines in folders: `FOLDER/dvc.yaml` with a lock file of its own."""

import pytest

ROOT = """
  b: {cmd: echo b >> ran; cat a > b, deps: [a], outs: [b]}
  a: {cmd: echo a >> ran; cat in > a, deps: [in], outs: [a]}
"""
NESTED = """stages:
  slow:
    wdir: ..
    cmd: echo slow >> ran; cat b bench/quick > bench/slow
    deps: [b, bench/quick]
    outs: [bench/slow]
  quick: {wdir: .., cmd: echo quick >> ran; cat a > bench/quick, deps: [a], outs: [bench/quick]}
  many:
    matrix: {n: [x, y]}
    wdir: ..
    cmd: echo many >> ran; cat in > bench/${item.n}
    deps: [in]
    outs: ["bench/${item.n}"]
"""


@pytest.fixture
def nested(repository):
    where = repository(ROOT)
    (where / "bench").mkdir()
    (where / "bench/dvc.yaml").write_text(NESTED)
    return where


def ran(where):
    """Return the stages that ran since the last call."""
    names = sorted((where / "ran").read_text().split()) if (where / "ran").exists() else []
    (where / "ran").unlink(missing_ok=True)
    return names


def test_without_targets_the_root_pipeline_runs_alone(nested, call_main):
    assert call_main(nested, "runner.local", "--jobs", "1")[0] == 0
    assert ran(nested) == ["a", "b"]
    assert not (nested / "bench/dvc.lock").exists()
    assert "nothing to do" in call_main(nested, "runner.local")[2]


def test_a_stage_of_a_folder_runs_with_what_it_reads_and_persists(nested, call_main):
    assert call_main(nested, "runner.local", "bench/dvc.yaml:quick")[0] == 0
    assert ran(nested) == ["a", "quick"]
    assert "quick:" in (nested / "bench/dvc.lock").read_text()
    assert "quick" not in (nested / "dvc.lock").read_text()
    code, _, err = call_main(nested, "runner.local", "bench/dvc.yaml:quick")
    assert code == 0
    assert "nothing to do" in err
    assert ran(nested) == []


def test_a_whole_folder_and_a_matrix_are_targets(nested, call_main):
    assert call_main(nested, "runner.local", "bench/dvc.yaml:many")[0] == 0
    assert ran(nested) == ["many", "many"]
    assert call_main(nested, "runner.local", "bench/dvc.yaml:many@x", "--dry")[1] == ""
    code, out, _ = call_main(nested, "runner.local", "--dry", "bench/dvc.yaml")
    assert code == 0
    assert sorted(line.split()[0] for line in out.splitlines()) == [
        "a", "b", "bench/dvc.yaml:quick", "bench/dvc.yaml:slow",
    ]  # fmt: skip
    assert call_main(nested, "runner.local", "bench/dvc.yaml")[0] == 0
    assert ran(nested) == ["a", "b", "quick", "slow"]


def test_a_misspelt_stage_of_a_folder_is_refused_with_a_hint(nested, call_main):
    code, _, err = call_main(nested, "runner.local", "bench/dvc.yaml:quik")
    assert code == 1
    assert "did you mean 'bench/dvc.yaml:quick'" in err


def test_dry_changes_no_byte_of_a_lock(nested, call_main):
    assert call_main(nested, "runner.local", "bench/dvc.yaml")[0] == 0
    files = [nested / "dvc.lock", nested / "bench/dvc.lock"]
    former = "schema: '2.0'\nstages:\n  former:\n    cmd: echo\n"  # a run would put it last
    for file in files:
        file.write_text(former + file.read_text().partition("stages:\n")[2])
    (nested / "in").write_text("2\n")
    before = [file.read_bytes() for file in files]
    ran(nested)
    code, out, _ = call_main(nested, "runner.local", "--dry", "bench/dvc.yaml")
    assert code == 0
    assert "bench/dvc.yaml:slow after" in out
    assert [file.read_bytes() for file in files] == before
    assert ran(nested) == []


@pytest.mark.slow
def test_both_lock_files_have_the_bytes_of_a_serial_run(nested, repository, call_main, run):
    serial = repository(ROOT, "serial")
    (serial / "bench").mkdir()
    (serial / "bench/dvc.yaml").write_text(NESTED)
    assert run(serial, "dvc", "repro", "-P")[0] == 0
    code, _, err = call_main(nested, "runner.local", "--jobs", "3", "b", "bench/dvc.yaml")
    assert code == 0, err
    for file in ("dvc.lock", "bench/dvc.lock"):
        assert (nested / file).read_bytes() == (serial / file).read_bytes()
