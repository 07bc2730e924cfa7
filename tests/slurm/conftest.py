import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from slurm import throwaway as throwaway_slurm
from slurm.throwaway import Node
from slurm.throwaway import eventually as waited

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "SHELL": "/bin/sh",
    "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "DVC_NO_ANALYTICS": "1",
}  # fmt: skip
WHO = ("-c", "user.name=t", "-c", "user.email=t@t")
PACKAGES = ("slurmctld", "slurmd", "slurm-client")
NODES = (Node(4, 4000, 0), Node(4, 4000, 2))


def start(where, *words, **more):
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=where, env=ENVIRONMENT | more, text=True,
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
def commit():
    """Return a function that commits everything in a repository."""

    def record(where):
        subprocess.run(["git", "add", "--all"], cwd=where, check=True)
        subprocess.run(["git", *WHO, "commit", "-qm", "all"], cwd=where, check=True)

    return record


@pytest.fixture
def project(repository, commit):
    """Return a function that makes a repository which jobs can clone."""

    def make(stages, name="repository", params="", profiles=""):
        where = repository(stages, name, params)
        ignored = shutil.ignore_patterns("__pycache__", "profiles*.yaml")
        shutil.copytree(ROOT / "slurm", where / "slurm", ignore=ignored)
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
def run():
    """Return a function that runs a module and returns exit code, output and errors."""

    def finish(where, *words):
        process = start(where, *words)
        try:
            out, err = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail(f"{words} does not end: {process.communicate()}")
        return process.returncode, out, err

    return finish


@pytest.fixture
def begin():
    """Return a function that starts a module; what still runs at the end is killed."""
    running = []

    def launch(where, *words, **more):
        running.append(start(where, *words, **more))
        return running[-1]

    yield launch
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def eventually():
    """Return a function that waits until something is true and returns whether it came."""
    return lambda met, seconds=60: waited(met, seconds)


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
    return (
        f"  {name}:\n"
        f"    cmd: echo {name} >> {shared}/ran; {before} cat {deps} > out/{name}\n"
        f"    deps: [{', '.join(inputs)}]\n"
        f"    outs: [out/{name}]\n"
        + "".join(f"    {key}: {value}\n" for key, value in more.items())
    )  # fmt: skip


class Cluster(throwaway_slurm.Cluster):
    """A cluster of two nodes, the second with two GPUs, and what may happen to it."""

    def jobs(self):
        """Return the jobs that have not ended."""
        return self.ask("squeue", "-h", "-r", "-o", "%i").split()

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
        self.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=crashed")

    def mend(self, node):
        """Bring a node back."""
        self.start("slurmd", "-D", "-N", node)
        assert waited(lambda: self.ask("sinfo", "-hn", node, "-o", "%t") == "idle", 60)

    def clear(self):
        """End all jobs."""
        self.ask("scancel", "--me")
        if not waited(lambda: not self.jobs(), 20):
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
    if all(shutil.which(name) for name in ("slurmctld", "slurmd", "sbatch")):
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
