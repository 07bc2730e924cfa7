import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1", "SHELL": "/bin/sh"}


def start(where, *words):
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=where, env=ENVIRONMENT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    where = tmp_path_factory.mktemp("empty")
    subprocess.run(["git", "init", "-q"], cwd=where, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=where, check=True)
    return where


@pytest.fixture
def repository(empty, tmp_path):
    """Return a function that makes a DVC repository of the stages in a text."""

    def make(stages, name="repository", params=""):
        where = tmp_path / name
        shutil.copytree(empty, where)
        (where / "dvc.yaml").write_text(f"stages:\n{stages}")
        (where / "params.yaml").write_text(params)
        (where / "in").write_text("1\n")
        return where

    return make


@pytest.fixture
def run():
    """Return a function that runs a module and returns exit code, output and errors."""

    def finish(where, *words):
        process = start(where, *words)
        out, err = process.communicate()
        return process.returncode, out, err

    return finish


@pytest.fixture
def begin():
    """Return a function that starts a module; what still runs at the end is killed."""
    running = []

    def launch(where, *words):
        running.append(start(where, *words))
        return running[-1]

    yield launch
    for process in running:
        process.kill()
        process.communicate()
