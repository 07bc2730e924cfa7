"""Run a command on a SLURM cluster on this machine that is stopped when the command ends.

    python -m slurm.throwaway [--nodes N] [--cpus N] [--memory MB] [--gpus N] COMMAND ...

Its nodes are processes, its GPUs are /dev/null: jobs get $CUDA_VISIBLE_DEVICES, which nothing
enforces. It listens on loopback only and has no users, limits or accounting: it is for trying jobs
out, not for sharing a machine. Jobs end with the command. On Debian, `apt-get install slurmctld
slurmd slurm-client` installs the programs that it needs.
"""

import argparse
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from dvc.exceptions import DvcException

from runner.console import INTERRUPTED, echo

_PROGRAMS = ("slurmctld", "slurmd", "sbatch")
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"  # of daemons; not in every user's PATH
_CONTROLLER = """
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
FirstJobId={first}
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
PartitionName=all Nodes=ALL Default=YES State=UP
"""
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory}"  # noqa: E501
_TIMEOUT = 30  # seconds until all nodes must be idle, and jobs must have ended
_MAX_JOB_ID = 60_000_000  # SLURM's job numbers end at 67 million


@dataclass(frozen=True)
class Node:
    """The resources that a node reports, whatever the machine has.

    Attributes
    ----------
    cpus, gpus
        Numbers of cores and GPUs.
    memory
        Memory, in MB.
    """

    cpus: int
    memory: int
    gpus: int


def missing_programs() -> list[str]:
    """Return the programs of SLURM that a cluster needs and this machine lacks."""
    return [name for name in _PROGRAMS if not shutil.which(name, path=_search_path())]


def _search_path() -> str:
    """Return `PATH` with the folders of daemons."""
    return f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}"


class Cluster:
    """A SLURM cluster on this machine, which runs inside a `with` block.

    Parameters
    ----------
    folder
        Folder for configuration, state and logs.
    nodes
        Resources of each node; their names are n1, n2 and so on.

    Attributes
    ----------
    environment
        Environment variables with which SLURM's commands find the cluster.
    daemons
        Running daemons: `-c` is the controller, the others have the names of their nodes.

    Raises
    ------
    dvc.exceptions.DvcException
        If SLURM is not installed or does not start.
    """

    def __init__(self, folder: Path, nodes: Sequence[Node]) -> None:
        self.folder = folder
        self.nodes = {f"n{number}": node for number, node in enumerate(nodes, start=1)}
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"), "PATH": _search_path(),
        }  # fmt: skip
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        if missing := missing_programs():
            raise DvcException(
                f"there is no `{missing[0]}` here: apt-get install slurmctld slurmd slurm-client"
            )
        self._configure()
        try:
            self._begin()
        except BaseException:
            self.stop()
            raise
        return self

    def _begin(self) -> None:
        """Start the daemons and wait until all nodes are idle."""
        self.start("slurmctld", "-D", "-c")
        for name in self.nodes:
            self.start("slurmd", "-D", "-N", name)
        idle = ["idle"] * len(self.nodes)
        if not wait_until(lambda: self.query("sinfo", "-hN", "-o", "%t").split() == idle, _TIMEOUT):
            log = self.folder / "slurmctld.log"
            message = log.read_text()[-1000:] if log.exists() else "slurmctld writes no log"
            raise DvcException(f"SLURM does not start here: {message}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            self.query("scancel", "--me")
            wait_until(lambda: not self.query("squeue", "-h"), _TIMEOUT)
        finally:
            self.stop()

    def _configure(self) -> None:
        """Write the configuration, and device files where that is allowed."""
        for name in ("state", "dev"):
            (self.folder / name).mkdir(parents=True)
        host = socket.gethostname().partition(".")[0]
        controller_port, *ports = _free_ports(len(self.nodes) + 1)
        # The jobs of two clusters, one after the other, must not have the same numbers.
        first = int(time.time()) % _MAX_JOB_ID
        text = _CONTROLLER.format(
            host=host, user=getpass.getuser(), folder=self.folder, port=controller_port, first=first
        )
        resources = ""
        for (name, node), port in zip(self.nodes.items(), ports, strict=True):
            line = _NODE.format(name=name, host=host, port=port, cpus=node.cpus, memory=node.memory)
            text += line + (f" Gres=gpu:{node.gpus}" if node.gpus else "") + "\n"
            for number in range(node.gpus):
                file = self.folder / f"dev/{name}-gpu{number}"
                with suppress(PermissionError):
                    os.mknod(file, 0o20666, os.makedev(1, 3))  # device numbers of /dev/null
                files = f"File={file}" if file.exists() else "Count=1"
                resources += f"NodeName={name} Name=gpu {files}\n"
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "gres.conf").write_text(resources)

    def start(self, *argv: str) -> None:
        """Start a daemon; its key in `daemons` is its last argument."""
        self.daemons[argv[-1]] = subprocess.Popen(  # noqa: S603 - no shell
            argv, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def query(self, *argv: str) -> str:
        """Run one of SLURM's commands; return its standard output, also if it fails."""
        return subprocess.run(  # noqa: S603 - no shell
            argv, env=self.environment, text=True, check=False, capture_output=True
        ).stdout.strip()

    def stop(self) -> None:
        """Terminate the daemons; kill those that still run after 10 s."""
        for process in self.daemons.values():
            process.terminate()
        for process in self.daemons.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def wait_until(condition: Callable[[], object], timeout: float) -> bool:
    """Wait until a condition is true; return whether it became true in time.

    Parameters
    ----------
    condition
        Function that is called every 0.1 s.
    timeout
        Maximal waiting time, in seconds.
    """
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _free_ports(count: int) -> list[int]:
    """Return free ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m slurm.throwaway",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, number, text in (
        ("nodes", 2, "how many"), ("cpus", 1, "cores of each"), ("memory", 16384, "MB of each"),
        ("gpus", 1, "of each"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=number, help=f"{text} ({number})")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    args = parser.parse_args(argv)
    for name, minimum in (("nodes", 1), ("cpus", 1), ("memory", 1), ("gpus", 0)):
        if (number := getattr(args, name)) < minimum:
            parser.error(f"--{name} {number}: at least {minimum}")
    if not args.command:
        parser.error("COMMAND: what is to run on the cluster?")
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parse_args(argv)
    nodes = [Node(args.cpus, args.memory, args.gpus)] * args.nodes
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))
    try:
        with (
            TemporaryDirectory(prefix="throwaway-slurm-") as folder,
            Cluster(Path(folder), nodes) as cluster,
        ):
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command handles Ctrl-C
            code = subprocess.run(  # noqa: S603 - the user's command
                args.command, env=cluster.environment, check=False,
                preexec_fn=lambda: signal.signal(signal.SIGINT, before),
            ).returncode  # fmt: skip
            return code if code >= 0 else 128 - code
    except (DvcException, OSError) as error:
        echo(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
