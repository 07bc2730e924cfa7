"""docs/cluster.md: every line that a user can type."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from runner import cache, local, remote
from slurm import submit, throwaway
from slurm.profiles import LOCAL, TRACKED, Profiles

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/cluster.md").read_text()
MODULES = {
    "slurm.submit": submit, "runner.local": local, "runner.cache": cache, "runner.remote": remote,
    "slurm.throwaway": throwaway,
}  # fmt: skip


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def commands():
    """Return all commands, those in the text and its tables too."""
    lines = "\n".join(blocks("bash")).splitlines()
    text = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    inline = re.findall(r"`(python -m [^`]*)`", text)
    assert inline
    return [line.partition("   #")[0].strip() for line in lines if line] + inline


@pytest.fixture(scope="module")
def stages():
    with Repo(str(ROOT)) as repo:
        return [str(stage.addressing) for stage in repo.index.stages]


def test_every_command_is_one_that_is_tried_here():
    assert {line.split()[0] for line in commands()} == {"dvc", "make", "python"}


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("python")])
def test_our_commands_are_understood_and_name_stages_of_the_study(line, stages):
    python, option, module, *words = shlex.split(line)
    assert (python, option) == ("python", "-m")
    given = MODULES[module].parse_args(words)
    known = {*stages, *(stage.partition("@")[0] for stage in stages)}
    assert set(getattr(given, "targets", [])) <= known
    for change in getattr(given, "overrides", []):
        found = YAML(typ="safe").load(ROOT / "params.yaml")
        for name in change.partition("=")[0].split("."):
            found = found[name]


def test_make_targets_of_the_page_exist():
    wanted = {line.split()[1] for line in commands() if line.startswith("make")}
    assert wanted <= set(
        re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    )


def test_the_profile_is_laid_over_ours(tmp_path, stages):
    (tmp_path / "slurm").mkdir()
    (tmp_path / TRACKED).write_text((ROOT / TRACKED).read_text())
    (tmp_path / LOCAL).write_text(blocks("yaml")[0])
    profiles = Profiles(tmp_path, stages)
    assert "--partition=gpu" in profiles["align@lung-comm"].options()
    assert "--gpus=1" in profiles["align@lung-comm"].options()
    assert "--partition=cpu" in profiles["align@lung-cca"].options()
    assert not [word for word in profiles["align@lung-cca"].options() if "gpus" in word]
    assert profiles["sis@lung"].modules == ("python/3.11",)


def block(word):
    """Return the commands of the one block that has a word."""
    (found,) = [commands for commands in blocks("bash") if word in commands]
    return found


def type_in(site, *lines):
    """Type commands of the page in a shell at a site."""
    script = "\n".join(["set -ex", 'dvc() { "$PYTHON" -m dvc "$@"; }', *lines])
    done = subprocess.run(
        ["bash", "-c", script], cwd=site.path, env=site.environment | {"PYTHON": sys.executable},
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def connect(site, remote):
    """Make the lab's remote as the page says, with addresses of this machine."""
    kind = remote.url.partition("://")[0] if "://" in remote.url else "/data"
    text = block(f"--local lab {kind}") + block("verify true")
    if kind == "s3":
        text = text.replace("s3://our-lab/cell-synergy", remote.url)
        text = text.replace("https://s3.our-lab.org", remote.options["endpointurl"])
    else:
        text = text.replace("/data/our-lab/cell-synergy", str(remote.folder))
        text = text.replace("/data/cell-synergy", str(remote.folder))
    type_in(site, text)


@pytest.mark.slow
def test_commands_of_the_page_share_results_through_a_remote(site, remote, home):
    a, b, c = site("a"), site("b"), site("c")
    type_in(a, *[line for line in block("dvc cache dir").splitlines() if line.startswith("dvc")])
    assert blocks("ini") == [(home / ".aws/config").read_text()]
    for each in (a, b, c):
        connect(each, remote)
        each.git("diff", "--exit-code")
        told = (each.path / ".dvc/config.local").read_text()
        assert "verify = true" in told
        assert not re.search("key|secret|password", told)
    computed, fetched = block("pull --run-cache").splitlines()
    type_in(a, "dvc repro", computed)  # its cache was empty
    type_in(b, fetched, "dvc repro")
    assert b.ran() == []
    assert b.results() == a.results()
    for each in (a, c):
        each.choose(expert="large")
    type_in(a, block("repro embed"))
    a.publish()
    c.git("checkout", "-q", ".")
    c.git("pull", "-q", "origin", "main")
    c.choose(expert="large", rate=2)
    type_in(c, block("--allow-missing"))
    assert c.ran() == ["align"]
    assert not (c.path / "raw").exists()
