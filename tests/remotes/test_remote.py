"""`python -m runner.remote`: what is wrong with a remote is said, by whatever it fails."""

import re
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from dvc.repo import Repo

from runner.remote import main, parse_args
from tests.remotes.conftest import environment_of, free_port, needs
from tests.remotes.sites import Remote, Site, at

ROOT = Path(__file__).parents[2]
URLS = {"s3": "s3://bucket/dvc", "ssh": "ssh://127.0.0.1:{port}/dvc"}


@pytest.fixture
def there(tmp_path, home):
    """A repository with nothing in it."""
    made = Site(tmp_path / "there", environment_of(home, tmp_path))
    subprocess.run(["git", "init", "-q", made.path], check=True)
    Repo.init(str(made.path)).close()
    return made


@pytest.fixture
def checked(monkeypatch, capsys):
    """Return a function that checks a site's remote in this process: its code and what is said."""

    def check(site, *words):
        with monkeypatch.context() as context:
            context.chdir(site.path)
            for name, value in site.environment.items():
                context.setenv(name, value)
            code = main(list(words))
        return code, capsys.readouterr().err

    return check


def checked_by_command(site, *words):
    """Check a remote as a user does; return exit code and standard error."""
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-m", "runner.remote", *words], cwd=site.path, check=False,
        env=site.environment | paths, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stderr


def server(kind, port):
    needs(f"dvc_{kind}")
    more = at(f"http://127.0.0.1:{port}") if kind == "s3" else {}
    return Remote(URLS[kind].format(port=port), **more)


@pytest.mark.parametrize("kind", URLS)
def test_a_server_that_is_silent_is_named(there, checked, kind):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:  # takes calls, reads nothing
        remote = server(kind, silent.getsockname()[1])
        remote.add(there)
        code, said = checked(there, "--seconds", "1")
    assert code == 1
    assert f"error: lab ({remote.url}): no answer within 1 s (`--seconds`): is the server" in said
    assert parse_args([]).seconds == 10


@pytest.mark.parametrize("kind", URLS)
def test_a_server_that_is_down_is_named(there, kind):
    remote = server(kind, port := free_port())
    remote.add(there)
    code, said = checked_by_command(there)
    assert code == 1
    assert re.match(
        rf"error: lab \({re.escape(remote.url)}\): \w+Error: .*connect.*127\.0\.0\.1\D+{port}",
        said,
        re.IGNORECASE,
    )


@pytest.mark.slow
def test_a_remote_that_is_there_answers(site, checked, remote):
    a = site("a")
    remote.add(a)
    code, said = checked(a)
    assert code == 0, said
    assert "nothing is there yet: `dvc push` makes it" in said
    a.dvc("push")
    code, said = checked(a, "--remote", "lab")
    assert code == 0, said
    assert said.startswith(f"lab ({remote.url}) answers, in ")
    assert "nothing" not in said


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_named(there, checked, s3):
    Remote("s3://misspelt/dvc", **at(s3)).add(there)
    code, said = checked(there)
    assert code == 1
    assert "error: lab (s3://misspelt/dvc): there is no misspelt; is it misspelt, or" in said


def test_a_folder_that_is_not_mounted_is_named(there, checked, tmp_path):
    Remote(str(tmp_path / "away/lab"), tmp_path / "away/lab").add(there)
    code, said = checked(there)
    assert code == 1
    assert f"there is no {tmp_path}/away; is it misspelt, or not mounted?" in said


def test_settings_that_are_not_safe_are_refused(there, checked, tmp_path):
    config = there.path / ".dvc/config"
    lab = f"[core]\n    remote = lab\n['remote \"lab\"']\n    url = {tmp_path / 'lab'}\n"
    config.write_text(f"{lab}    verify = true\n")
    assert checked(there)[0] == 0
    config.write_text(f"{lab}    verify = false\n")
    code, said = checked(there)
    assert code == 1
    assert "without a word: `dvc remote modify --local lab verify true`" in said
    away = "['remote \"away\"']\n    url = s3://bucket/dvc\n    secret_access_key = abc\n"
    config.write_text(lab + away)
    code, said = checked(there, "-r", "away", "--seconds", "0.1")
    assert code == 1
    assert "secret_access_key stands in .dvc/config, which git tracks" in said
    assert "abc" not in said


def test_a_remote_that_is_not_there_is_named_with_those_that_are(there, checked, tmp_path):
    code, said = checked(there)
    assert code == 1
    assert "error: no remote is the default: `dvc remote default --local NAME`" in said
    (there.path / ".dvc/config").write_text(f"['remote \"lab\"']\n    url = {tmp_path / 'lab'}\n")
    code, said = checked(there, "-r", "lad")
    assert code == 1
    assert "error: there is no remote 'lad'; `dvc remote list` shows lab" in said
