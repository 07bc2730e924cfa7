"""Servers on this machine, with environments and keys of their own; stopped when tests end."""

import getpass
import os
import shutil
import socket
import subprocess
import time
import venv
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from tests.remotes.sites import LAST, PIPELINE, Bucket, Remote, Site

ROOT = Path(__file__).parents[2]
S3_SERVER = "moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"  # `moto[server]` is twice that
SSHD = """
HostKey {folder}/host
AuthorizedKeysFile {keys}
ListenAddress 127.0.0.1
Port {port}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""


@contextmanager
def daemon(port, *words):
    """Run a server on a port of this machine; skip where it does not start."""
    with TemporaryFile() as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        end = time.monotonic() + LAST
        while not listens(port):
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                log.seek(0)
                pytest.skip(f"{words[0]} does not start here: {log.read().decode()[-300:]}")
            time.sleep(0.1)
        yield
        process.terminate()


def listens(port):
    with closing(socket.socket()) as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    with closing(socket.socket()) as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def run(what, *words):
    """Run a program; skip where it fails."""
    done = subprocess.run(words, check=False, text=True, capture_output=True)
    if done.returncode:
        pytest.skip(f"{what} cannot be installed: {done.stderr.strip()[-300:]}")


def needs(module):
    pytest.importorskip(module, reason=f"no {module}: pip install -e '.[remotes]'")


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Return the home of a user who has the lab's keys."""
    where = tmp_path_factory.mktemp("home")
    (where / ".aws").mkdir()
    (where / ".aws/config").write_text("[profile lab]\nretry_mode = standard\n")
    keys = "[lab]\naws_access_key_id = me\naws_secret_access_key = a-secret\n"
    (where / ".aws/credentials").write_text(keys)
    (where / ".ssh").mkdir(mode=0o700)
    return where


@pytest.fixture(scope="session")
def s3(pytestconfig):
    """Return the address of an S3 server; its environment is kept between runs."""
    needs("dvc_s3")
    folder = pytestconfig.cache.mkdir("s3-server")
    wanted, installed = " ".join(S3_SERVER), folder / "installed"
    if not installed.exists() or installed.read_text() != wanted:
        venv.create(folder, clear=True, with_pip=True)
        run("an S3 server", folder / "bin/python", "-m", "pip", "install", "--quiet", *S3_SERVER)
        installed.write_text(wanted)
    port = free_port()
    with daemon(port, folder / "bin/moto_server", "-p", str(port)):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def ssh(tmp_path_factory, home):
    """Run an SSH server that the user's settings call `lab-store`."""
    needs("dvc_ssh")
    if not shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin"):
        if os.getuid() or not shutil.which("apt-get"):
            pytest.skip("openssh-server is not installed; that takes root and apt-get")
        run("openssh-server", "apt-get", "update")
        run(
            "openssh-server",
            *["apt-get", "install", "-y", "--no-install-recommends", "openssh-server"],
        )
    if not os.getuid():
        Path("/run/sshd").mkdir(exist_ok=True)  # asked for where root runs it
    folder, key, port = tmp_path_factory.mktemp("sshd"), home / ".ssh/id_ed25519", free_port()
    for made in (folder / "host", key):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", made], check=True)
    (folder / "conf").write_text(SSHD.format(folder=folder, port=port, keys=f"{key}.pub"))
    (home / ".ssh/config").write_text(
        f"Host lab-store\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {key}\n"
    )
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    with daemon(port, sshd, "-D", "-e", "-f", folder / "conf"):
        yield


@pytest.fixture(params=["folder", "s3", "ssh"])
def remote(request, tmp_path):
    """Return an empty remote, of each kind in turn."""
    folder = tmp_path / "remote"
    if request.param == "s3":
        return Bucket(request.getfixturevalue("s3"), f"bucket-{os.urandom(8).hex()}")
    if request.param == "ssh":
        request.getfixturevalue("ssh")
        return Remote(f"ssh://lab-store{folder}", folder)
    return Remote(str(folder), folder)


@pytest.fixture(scope="session")
def done(tmp_path_factory, home):
    """Return a folder with the project's git repository and a site that has computed it all."""
    folder = tmp_path_factory.mktemp("done")
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", folder / "origin"], check=True)
    a = Site(folder / "a", environment_of(home, folder))
    subprocess.run(["git", "init", "-q", "-b", "main", a.path], check=True)
    a.git("remote", "add", "origin", folder / "origin")
    (a.path / ".dvc").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, a.path / name)
    (a.path / "dvc.yaml").write_text(PIPELINE)
    a.choose()
    (a.path / "slide").write_text("tissue\n")
    (a.path / ".gitignore").write_text("/ran\n")
    a.dvc("repro")
    a.publish()
    return folder


def environment_of(home, folder):
    own = {"HOME": home, "DVC_SITE_CACHE_DIR": folder / "site", "SHELL": "/bin/sh"}
    quiet = {"DVC_NO_ANALYTICS": "1", "NO_PROXY": "127.0.0.1"}
    return os.environ | {name: str(value) for name, value in own.items()} | quiet


@pytest.fixture
def site(tmp_path, done, home):
    """Return a function that gives a site by its name: `a` has computed all, others are clones."""
    for name in ("origin", "a"):
        shutil.copytree(done / name, tmp_path / name)

    def make(name):
        made = Site(tmp_path / name, environment_of(home, tmp_path))
        if name == "a":
            made.git("remote", "set-url", "origin", tmp_path / "origin")
        else:
            subprocess.run(["git", "clone", "-q", tmp_path / "origin", made.path], check=True)
        return made

    return make


@pytest.fixture
def sites(site, remote):
    """Return a site that has computed all and a clone; they share nothing but the remote."""
    both = site("a"), site("b")
    for each in both:
        remote.add(each)
    return both
