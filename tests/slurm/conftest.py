import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from slurm import throwaway as throwaway_slurm
from slurm.throwaway import Node, missing_programs, wait_until
from tests.runner.conftest import (
    ENVIRONMENT,
    ROOT,
    _stage_server,
    begin,
    call_main,
    commit,
    empty,
    eventually,
    repository,
    run,
)  # fmt: skip

__all__ = [  # fixtures
    "_stage_server", "begin", "call_main", "commit", "empty", "eventually", "repository", "run",
]  # fmt: skip
PACKAGES = ("slurmctld", "slurmd", "slurm-client")
NODES = (Node(4, 4000, 0), Node(4, 4000, 2))


@pytest.fixture
def project(repository, commit):
    """Return a function that makes a repository which jobs can clone."""

    def make(stages, name="repository", params="", profiles=""):
        where = repository(stages, name, params)
        ignored = shutil.ignore_patterns("__pycache__", "profiles*.yaml")
        for package in ("runner", "slurm"):
            shutil.copytree(ROOT / package, where / package, ignore=ignored)
        default = "default: {mem: 100M, time: '00:05:00'}\n"
        (where / "slurm/profiles.yaml").write_text(default + profiles)
        out = ("/out/*", "!/out/.keep", "__pycache__/", "/slurm/profiles.local.yaml\n")
        (where / ".gitignore").write_text("\n".join(out))
        (where / "out").mkdir()
        (where / "out/.keep").touch()
        commit(where)
        return where

    return make


@pytest.fixture
def shared(tmp_path):
    """Return a folder that commands and test share, also from a clone."""
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


def ran(shared):
    """Return the stages that were run; a command notes itself as `echo NAME >> .../ran`."""
    return sorted((shared / "ran").read_text().split()) if (shared / "ran").exists() else []


def stage(name, shared, deps="in", before="", **more):
    """Return a stage that notes that it ran and copies what it reads."""
    inputs = deps.split()
    command = filter(None, [f"echo {name} >> {shared}/ran;", before, f"cat {deps} > out/{name}"])
    return (
        f"  {name}:\n"
        f"    cmd: {' '.join(command)}\n"
        f"    deps: [{', '.join(inputs)}]\n"
        f"    outs: [out/{name}]\n"
        + "".join(f"    {key}: {value}\n" for key, value in more.items())
    )  # fmt: skip


class Cluster(throwaway_slurm.Cluster):
    """A cluster of two nodes, the second with two GPUs, and what may happen to it."""

    def jobs(self):
        """Return the jobs that have not ended."""
        return self.query("squeue", "-h", "-r", "-o", "%i").split()

    def processes(self, *wanted):
        """Return the processes of this cluster's jobs, first what SLURM itself starts for them."""
        mine = [f"SLURM_CONF={self.folder}/slurm.conf", "SLURM_JOB_ID=", *wanted]
        found, above = [], set()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                lines = (folder / "environ").read_text(errors="replace").split("\0")
                if all(any(line.startswith(text) for line in lines) for text in mine):
                    found.append(int(folder.name))
                    above.add(int((folder / "stat").read_text().rpartition(")")[2].split()[1]))
        stepd = [pid for pid in above if "slurmstepd" in name_of(pid)]
        return stepd + found

    def crash(self, node):
        """Let a node die with all that runs there."""
        self.daemons.pop(node).kill()
        for pid in self.processes(f"SLURMD_NODENAME={node}"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.query("scontrol", "update", f"nodename={node}", "state=down", "reason=crashed")

    def mend(self, node):
        """Bring a node back."""
        self.start("slurmd", "-D", "-N", node)
        assert wait_until(lambda: self.query("sinfo", "-hn", node, "-o", "%t") == "idle", 60)

    def clear(self):
        """End all jobs."""
        self.query("scancel", "--me")
        if not wait_until(lambda: not self.jobs(), 20):
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def install():
    """Install SLURM where that is possible; else skip."""
    if not missing_programs():
        return
    if os.getuid() or not shutil.which("apt-get"):
        pytest.skip("SLURM is not installed, and without root and apt-get it cannot be")
    silent = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", *words], env=silent, check=False, capture_output=True, text=True
        )
    if done.returncode:
        pytest.skip(f"SLURM cannot be installed: {done.stderr.strip()[-200:]}")


@pytest.fixture(scope="session")
def throwaway(tmp_path_factory):
    install()
    slurm = Cluster(tmp_path_factory.mktemp("slurm"), NODES)
    with slurm:
        ENVIRONMENT["SLURM_CONF"] = slurm.environment["SLURM_CONF"]
        yield slurm
        slurm.clear()
        del ENVIRONMENT["SLURM_CONF"]


@pytest.fixture
def cluster(throwaway):
    """Return a SLURM cluster on which nothing runs."""
    yield throwaway
    throwaway.clear()
