import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "SHELL": "/bin/sh",
    "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "DVC_NO_ANALYTICS": "1",
}  # fmt: skip
WHO = ("-c", "user.name=t", "-c", "user.email=t@t")
PACKAGES = ("slurmctld", "slurmd", "slurm-client")
CONFIGURATION = """
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SwitchType=switch/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
GresTypes=gpu
SlurmdParameters=config_overrides
KillWait=5
SlurmdTimeout=60
MailProg=/bin/true
DefMemPerCPU=100
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=4000 Gres=gpu:2
PartitionName=all Nodes=n1,n2 Default=YES State=UP
"""


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

    def launch(where, *words):
        running.append(start(where, *words))
        return running[-1]

    yield launch
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def eventually():
    """Return a function that waits until something is true and returns whether it came."""

    def wait(met, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if met():
                return True
            time.sleep(0.1)
        return False

    return wait


class Cluster:
    """A SLURM of two nodes on this machine, the second with two GPUs that are /dev/null."""

    def __init__(self, folder, wait):
        self.folder, self.wait = folder, wait
        self.daemons = {}
        for name in ("state", "dev"):
            (folder / name).mkdir()
        with suppress(PermissionError):
            for number in (0, 1):
                os.mknod(folder / f"dev/gpu{number}", 0o20666, os.makedev(1, 3))
        files = f"File={folder}/dev/gpu[0-1]" if (folder / "dev/gpu1").exists() else "Count=2"
        (folder / "gres.conf").write_text(f"NodeName=n2 Name=gpu {files}\n")
        text = CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0], user=getpass.getuser(),
            folder=folder, ports=free_ports(3),
        )  # fmt: skip
        (folder / "slurm.conf").write_text(text)
        ENVIRONMENT["SLURM_CONF"] = str(folder / "slurm.conf")
        self.daemon("slurmctld", "-D", "-c")
        for node in ("n1", "n2"):
            self.daemon("slurmd", "-D", "-N", node)
        if not wait(lambda: self.ask("sinfo", "-hN", "-o", "%t").split() == ["idle", "idle"], 30):
            said = (folder / "slurmctld.log").read_text()[-1000:]
            self.stop()
            pytest.skip(f"SLURM does not start here: {said}")

    def daemon(self, *words):
        self.daemons[words[-1]] = subprocess.Popen(
            words, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def ask(self, *words):
        return subprocess.run(
            words, env=ENVIRONMENT, text=True, check=False, capture_output=True
        ).stdout.strip()

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
        self.daemon("slurmd", "-D", "-N", node)
        assert self.wait(lambda: self.ask("sinfo", "-hn", node, "-o", "%t") == "idle")

    def clear(self):
        """End all jobs."""
        self.ask("scancel", "--me")
        if not self.wait(lambda: not self.jobs(), 20):
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def stop(self):
        """Stop what was started here."""
        for process in self.daemons.values():
            process.terminate()
        for process in self.daemons.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


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
def throwaway(tmp_path_factory, eventually):
    install()
    slurm = Cluster(tmp_path_factory.mktemp("slurm"), eventually)
    yield slurm
    slurm.clear()
    slurm.stop()
    del ENVIRONMENT["SLURM_CONF"]


@pytest.fixture
def cluster(throwaway):
    """Return a SLURM cluster on which nothing runs."""
    yield throwaway
    throwaway.clear()
