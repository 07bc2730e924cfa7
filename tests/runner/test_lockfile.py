import pytest
from dvc.repo import Repo, lock_repo

from runner.lockfile import load_stage, sort_entries

ENTRY = "  {0}:\n    cmd: 'echo\n\n      two'\n    outs:\n    - path: {0}\n"
STAGES = (
    "  a: {cmd: cat in > a, deps: [in], outs: [a]}\n  b: {cmd: cat in > b, deps: [in], outs: [b]}\n"
)


def lock(*names):
    return "schema: '2.0'\nstages:\n" + "".join(ENTRY.format(name) for name in names)


def test_entries_are_put_in_order_and_those_of_former_stages_last(repository):
    where = repository("  a: {cmd: echo}\n")
    (where / "dvc.lock").write_text(lock("former", "'1.5'", "c@x-y", "b"))
    sort_entries(where, ["a", "b", "c@x-y", "1.5"])
    assert (where / "dvc.lock").read_text() == lock("b", "c@x-y", "'1.5'", "former")


def test_a_file_in_order_is_not_written(repository):
    where = repository("  a: {cmd: echo}\n")
    (where / "dvc.lock").write_text(lock("a", "b"))
    before = (where / "dvc.lock").stat().st_mtime_ns
    sort_entries(where, ["a", "b"])
    assert (where / "dvc.lock").stat().st_mtime_ns == before


def test_a_missing_lock_file_is_not_created(repository):
    where = repository("  a: {cmd: echo}\n")
    sort_entries(where, ["a"])
    assert not (where / "dvc.lock").exists()


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "schema: '2.0'\n",
        "schema: '2.0'\nstages: {}\n",
        "schema: '2.0'\nstages:\n  b: {}\n  a: {}",
        "schema: '2.0'\nstages:\n  b: {}\n  a: {}\ndatasets: []\n",
        "schema: '2.0'\nstages:\n  b: {}\n # note\n  a: {}\n",
        "schema: '2.0'\nstages:\n  b: {}\n  # note\n  a: {}\n",
        "schema: '2.0'\nstages:\n  ? b\n  : {}\n  a: {}\n",
    ],
)
def test_a_lock_file_of_foreign_layout_is_left_alone(repository, foreign):
    where = repository("  a: {cmd: echo}\n")
    (where / "dvc.lock").write_text(foreign)
    sort_entries(where, ["a", "b"])
    assert (where / "dvc.lock").read_text() == foreign


@pytest.mark.slow
def test_into_a_lock_file_of_foreign_layout_dvc_itself_writes(repository, run):
    serial, parallel = (repository(STAGES, name) for name in ("serial", "parallel"))
    for where in (serial, parallel):
        (where / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    assert run(serial, "dvc", "repro")[0] == 0
    code, _, err = run(parallel, "runner.local", "--jobs", "1")
    assert code == 0, err
    assert (parallel / "dvc.lock").read_text() == (serial / "dvc.lock").read_text()


@pytest.fixture
def computed(repository, call_main, monkeypatch):
    """A repository in which all has run, which is entered."""
    where = repository(STAGES + '  "1.5": {cmd: cat a > c, deps: [a], outs: [c]}\n')
    assert call_main(where, "runner.local")[0] == 0
    monkeypatch.chdir(where)
    return where


def test_a_stage_is_loaded_as_dvc_loads_it(computed):
    assert computed.exists()
    with Repo() as repo, lock_repo(repo):
        for name in ("a", "b", "1.5"):
            ours, theirs = load_stage(repo, name), repo.stage.load_one(name=name)
            assert ours.addressing == theirs.addressing == name
            assert [out.hash_info for out in ours.outs] == [out.hash_info for out in theirs.outs]
            assert [dep.hash_info for dep in ours.deps] == [dep.hash_info for dep in theirs.deps]
            assert not ours.changed()


def test_entries_of_other_stages_are_not_parsed(computed):
    lock = computed / "dvc.lock"
    lock.write_text(lock.read_text().replace("  b:\n    cmd:", "  b:\n    - [cmd:"))
    with Repo() as repo, lock_repo(repo):
        assert not load_stage(repo, "a").changed()


@pytest.mark.parametrize("text", ["", "schema: '2.0'\nstages: {}\n", "schema: '2.0'\nstages:\n"])
def test_a_stage_without_an_entry_is_out_of_date(computed, text):
    lock = computed / "dvc.lock"
    lock.write_text(text + (lock.read_text().replace("  a:\n", "  z:\n") if not text else ""))
    with Repo() as repo, lock_repo(repo):
        assert load_stage(repo, "a").changed()
