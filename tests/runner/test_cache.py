import shutil
import signal

import pytest

from runner.cache import main
from tests.runner.conftest import start

STAGES = (
    "  one: {cmd: 'cp in one', deps: [in], outs: [one]}\n"
    "  many:\n    cmd: mkdir -p many; cp one many/a; echo 2 > many/b\n"
    "    deps: [one]\n    outs: [many]\n"
)


@pytest.fixture(scope="session")
def computed(empty, tmp_path_factory):
    """Return a repository with results, and a cache that a test must not change."""
    where = tmp_path_factory.mktemp("computed") / "repository"
    shutil.copytree(empty, where)
    (where / "dvc.yaml").write_text(f"stages:\n{STAGES}")
    (where / "in").write_text("1\n")
    process = start(where, "dvc", "repro")
    assert "Updating lock file" in process.communicate()[0]
    return where


@pytest.fixture
def where(computed, tmp_path):
    return shutil.copytree(computed, tmp_path / "repository")


@pytest.fixture
def check(where, monkeypatch, capsys):
    """Return a function that checks the cache and returns exit code and what is said."""

    def call(*words):
        with monkeypatch.context() as context:
            context.chdir(where)
            code = main(list(words))
        return code, capsys.readouterr().err

    return call


def object_of(where, content):
    """Return the file of the object with a content."""
    (found,) = [f for f in (where / ".dvc/cache/files").rglob("*") if content_of(f) == content]
    return found


def content_of(path):
    return path.read_bytes() if path.is_file() else None


def harm(path, content):
    """Change an object as a faulty disk does."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def everything(where):
    files = (where / ".dvc/cache").rglob("*")
    return {str(f.relative_to(where)): f.read_bytes() for f in files if f.is_file()}


def test_a_sound_cache_stays_as_it_is(where, check):
    before = everything(where)
    (where / ".dvc/cache/files/md5/12").mkdir()
    (where / ".dvc/cache/files/md5/12/.an-unfinished-object.tmp").write_text("half")
    code, said = check("--jobs", "2")
    assert code == 0
    assert said.startswith(f"{len(before)} objects, 0.0 MB in ")
    assert said.endswith(": 0 damaged\n")
    assert everything(where).items() >= before.items()
    assert not (where / ".dvc/cache/damaged").exists()


@pytest.mark.parametrize("bad", [b"3\n", b"", b"2\n\n"])
def test_a_damaged_object_is_set_aside_and_named(where, check, bad):
    path = object_of(where, b"2\n")
    harm(path, bad)
    code, said = check()
    assert code == 1
    assert ": 1 damaged\n" in said
    assert f"    {path.parent.name}{path.name}  many/b\n" in said
    assert not path.exists()
    aside = where / ".dvc/cache/damaged/files/md5" / path.parent.name / path.name
    assert aside.read_bytes() == bad
    code, said = check()
    assert (code, ": 0 damaged\n" in said, "  many/b\n" in said) == (1, True, True)


def test_a_damaged_list_of_a_folder_is_named(where, check):
    (path,) = (where / ".dvc/cache/files").rglob("*.dir")
    harm(path, b"[")
    code, said = check()
    assert code == 1
    assert f"    {path.parent.name}{path.name}  many\n" in said


def test_a_damaged_entry_of_the_run_cache_is_set_aside(where, check):
    first, second = sorted(f for f in (where / ".dvc/cache/runs").rglob("*") if f.is_file())
    harm(first, first.read_bytes().replace(b"md5: ", b"md5: 0"))
    harm(second, b"\xff{")
    code, said = check()
    assert code == 0  # nothing is missing: the stages run again when they are needed
    assert ": 2 damaged\n" in said
    assert not first.exists()
    assert not second.exists()


@pytest.mark.slow
@pytest.mark.parametrize("link", ["copy", "hardlink"])
def test_the_advised_commands_repair_a_damaged_cache(where, run, check, link):
    assert run(where, "dvc", "config", "--local", "cache.type", link)[0] == 0
    assert run(where, "dvc", "checkout", "--relink")[0] == 0
    harm(object_of(where, b"2\n"), b"3\n")
    assert (where / "many/b").read_text() == ("3\n" if link == "hardlink" else "2\n")
    assert run(where, "dvc", "repro")[0] == 0
    assert (where / "many/b").read_text() == ("3\n" if link == "hardlink" else "2\n")  # unnoticed
    assert check()[0] == 1
    run(where, "dvc", "checkout", "--relink")
    assert run(where, "dvc", "repro")[0] == 0
    assert (where / "many/b").read_text() == "2\n"
    assert check()[0] == 0


def test_an_unreadable_object_is_named_and_left(where, check):
    path = object_of(where, b"2\n")
    path.unlink()
    path.mkdir()
    code, said = check()
    assert code == 1
    assert f"error: [Errno 21] Is a directory: '{path}'" in said
    assert path.exists()


def test_a_stopped_check_goes_on(where, begin, check, eventually):
    path = object_of(where, b"2\n")
    harm(path, b"3\n")
    huge = where / f".dvc/cache/files/md5/ff/{'0' * 30}"
    huge.parent.mkdir()
    huge.touch()
    with huge.open("r+b") as file:
        file.truncate(10**12)  # a sparse file, which takes half an hour
    record = where / ".dvc/tmp/cache-check"
    process = begin(where, "runner.cache", "--jobs", "2")
    assert eventually(lambda: record.exists() and len(record.read_text().split()) > 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopped: the same command resumes" in err
    assert huge.stat().st_size == 10**12
    huge.unlink()
    done = [place for place in record.read_text().split() if place.endswith(path.parent.name)]
    code, said = check()
    assert code == 1
    assert "resuming the check that stopped 2" in said
    assert "  many/b\n" in said
    assert len(done) < 2
    assert not record.exists()


def test_a_check_that_goes_on_reads_nothing_twice(where, check):
    path = object_of(where, b"2\n")
    harm(path, b"3\n")
    record = where / ".dvc/tmp/cache-check"
    done = f"{(where / '.dvc/cache').as_uri()}\nfiles/md5/{path.parent.name}\n"
    record.write_text(done)
    code, said = check()
    assert (code, ": 0 damaged\n" in said) == (0, True)
    record.write_text(done)
    code, said = check("--again")
    assert (code, ": 1 damaged\n" in said) == (1, True)


def test_another_cache_is_checked_from_the_start(where, check):
    path = object_of(where, b"2\n")
    harm(path, b"3\n")
    (where / ".dvc/tmp/cache-check").write_text(f"file:///other\nfiles/md5/{path.parent.name}\n")
    assert check()[0] == 1


def test_outside_of_a_repository_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([]) == 1
    assert (
        "is not in the repository; run this from the root of the repository"
        in capsys.readouterr().err
    )


def test_no_threads_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--jobs", "0"])
    assert "--jobs: '0' is no whole number of 1 or more" in capsys.readouterr().err
