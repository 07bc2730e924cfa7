import re
import subprocess
from types import SimpleNamespace

import pytest

from runner import remote
from runner.console import tail


def test_the_last_lines_are_shown_and_of_a_progress_bar_the_last_state(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"%d\n" % i for i in range(20)) + b"bar 1%\rbar 2%\r\nerror: \xff\n")
    lines = tail(log).splitlines()
    assert lines[-3:] == ["    19", "    bar 2%", "    error: \N{REPLACEMENT CHARACTER}"]
    assert len(lines) == 15


def test_a_job_that_wrote_no_log_has_none(tmp_path):
    assert tail(tmp_path / "log") == "    (no log)"


@pytest.mark.parametrize("command", ["local", "cache", "remote"])
def test_an_archive_without_git_is_told_the_remedy(command, tmp_path, call_main):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    code, _, err = call_main(tmp_path, f"runner.{command}")
    assert code == 1
    assert re.search(r"error: .* is not a git repository, so .* `git init` .* `git clone`", err)
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["local", "cache", "remote"])
def test_another_folder_is_told_to_be_the_wrong_one(command, tmp_path, call_main):
    code, _, err = call_main(tmp_path, f"runner.{command}")
    assert code == 1
    assert f"{tmp_path} is not in the repository; run this from the root of the repository" in err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("dvc.lock", "schema: '2.0'\n<<<<<<< HEAD\nstages:\n", "dvc.lock, line 3: .*git checkout"),
        ("params.yaml", "a: [\n", "params.yaml, line 2: .*git checkout"),
        (".dvc/tmp/rwlock", "{", "rwlock.*; remove it when no other command"),
    ],
)
def test_a_damaged_file_of_the_repository_is_told_with_line_and_remedy(
    repository, call_main, name, text, message
):
    where = repository(
        "  a: {cmd: cat in > a, deps: [in], params: [a], outs: [a]}\n", params="a: 1\n"
    )
    assert call_main(where, "runner.local")[0] == 0
    (where / "in").write_text("2\n")
    (where / name).write_text(text)
    code, _, err = call_main(where, "runner.local")
    assert code == 1
    assert re.search(message, err)
    assert "Traceback" not in err


def test_a_link_to_nothing_is_told(repository, call_main):
    where = repository("  a: {cmd: ls source > a, deps: [source], outs: [a]}\n")
    (where / "source").mkdir()
    (where / "source/.#file").symlink_to("nowhere")  # as an editor makes
    code, _, err = call_main(where, "runner.local")
    assert (code, err) == (1, f"error: {where}/source/.#file is a link to nothing; remove it\n")


def test_a_dry_run_says_that_there_is_nothing_to_do(repository, call_main):
    where = repository("  a: {cmd: cat in > a, deps: [in], outs: [a]}\n")
    assert call_main(where, "runner.local")[0] == 0
    code, out, err = call_main(where, "runner.local", "--dry")
    assert (code, out) == (0, "")
    assert "nothing to do: all stages are up to date" in err


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        ("ssh://me:s3c@ret@host:1/x", {}, "ssh://me:***@host:1/x"),
        ("no answer of https://u:s3cret@host/x.", {}, "no answer of https://u:***@host/x."),
        ("ssh://me@host/x", {}, "ssh://me@host/x"),
        ("s3://bucket/a:b", {}, "s3://bucket/a:b"),
        ("https://h/x?sv=1&sig=s3cret%3D&b=1", {}, "https://h/x?sv=1&sig=***&b=1"),
        ("AuthError: s3cret is wrong", {"password": "s3cret"}, "AuthError: *** is wrong"),
        ("at s3cret", {"user": "s3cret"}, "at s3cret"),
        ("key AKey=s3cret", {"connection_string": "AKey=s3cret"}, "key ***"),
    ],
)
def test_secrets_of_a_remote_are_not_printed(text, settings, expected):
    assert remote.redact(text, settings) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("connection_string", "s3cret"), ("account_key", "s3cret"), ("sas_token", "s3cret"),
        ("client_secret", "s3cret"), ("password", "s3cret"), ("secret_access_key", "s3cret"),
    ],
)  # fmt: skip
def test_secrets_that_git_tracks_are_told(tmp_path, key, value):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".dvc").mkdir()
    config = f"['remote \"a\"']\n    url = azure://box/x\n    {key} = {value}\n    verify = true\n"
    (tmp_path / ".dvc/config").write_text(config)
    (problem,) = remote.unsafe_settings(
        SimpleNamespace(dvc_dir=str(tmp_path / ".dvc")), "a", {"verify": True}
    )
    assert problem.startswith(f"{key} stands in .dvc/config, which git tracks")
    assert value not in problem


def test_a_password_in_an_address_that_git_tracks_is_told(tmp_path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("['remote \"a\"']\n    url = ssh://me:s3cret@host/x\n")
    (problem,) = remote.unsafe_settings(
        SimpleNamespace(dvc_dir=str(tmp_path / ".dvc")), "a", {"verify": True}
    )
    assert "a password or token stands in its url in .dvc/config" in problem
    assert "s3cret" not in problem
