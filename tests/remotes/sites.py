"""A project, clones of it on sites, and remotes whose objects a test can harm."""

import hashlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from xml.etree import ElementTree as ET

FILES = 120
WHO = ("-c", "user.name=t", "-c", "user.email=t@t")
PIPELINE = f"""
stages:
  download:
    cmd: echo download >> ran; cp slide raw
    deps: [slide]
    outs: [raw]
  pairs:
    matrix: {{dataset: [lung]}}
    cmd: echo pairs >> ran; tr a-z A-Z < raw > pairs
    deps: [raw]
    outs: [pairs]
  embed:
    matrix: {{dataset: [lung]}}
    cmd: >-
      echo embed >> ran; mkdir -p embeddings; for i in $(seq {FILES});
      do yes "$i $(cat raw; head -1 params.yaml)" | head -c 50000 > embeddings/$i; done
    deps: [pairs, raw]
    params: [expert]
    outs: [embeddings]
  align:
    cmd: echo align >> ran; (cat pairs embeddings/*; tail -1 params.yaml) | cksum > weights
    deps: [pairs, embeddings]
    params: [rate]
    outs: [weights]
  figure:
    cmd: echo figure >> ran; tr 0-9 a-j < weights > figure
    deps: [weights]
    outs: [figure]
"""
PARAMS = "expert: {expert}\nrate: {rate}\n"
SIGNED = "AWS4-HMAC-SHA256 Credential=me/20260101/us-east-1/s3/aws4_request, Signature=0"
LAST = 30  # seconds until something is not there
FILES_OF = "files/md5"


class Site:
    """A clone with a cache of its own."""

    def __init__(self, path, environment):
        self.path = path
        self.cache = path / ".dvc/cache"
        self.environment = environment

    def start(self, *words):
        """Start a command of DVC."""
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", *words], cwd=self.path, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def attempt(self, *words):
        """Run a command of DVC; return its exit code and all that it says."""
        process = self.start(*words)
        try:
            said, _ = process.communicate(timeout=300)
        finally:
            process.kill()
        return process.returncode, said

    def dvc(self, *words):
        """Run a command of DVC that has to succeed; return what it says."""
        code, said = self.attempt(*words)
        assert code == 0, said
        return said

    def git(self, *words):
        subprocess.run(["git", *WHO, *words], cwd=self.path, check=True)

    def publish(self):
        """Commit all and push it."""
        self.git("add", "--all")
        self.git("commit", "-qm", "all")
        self.git("push", "-q", "origin", "HEAD:main")

    def choose(self, expert="small", rate=1):
        """Change parameters."""
        (self.path / "params.yaml").write_text(PARAMS.format(expert=expert, rate=rate))

    def ran(self):
        """Return the stages that were executed here."""
        log = self.path / "ran"
        return log.read_text().split() if log.exists() else []

    def names(self):
        """Return the objects in the cache."""
        return names_in(self.cache / FILES_OF)

    def results(self):
        """Return the content of every output."""
        places = ("raw", "pairs", "embeddings/*", "weights", "figure")
        files = [file for place in places for file in self.path.glob(place)]
        return {str(file.relative_to(self.path)): file.read_bytes() for file in files}


class Remote:
    """A remote whose objects are files of this machine."""

    def __init__(self, url, folder=None, **options):
        self.url, self.folder, self.options = url, folder, options

    def add(self, site):
        """Make it the default remote of a site, with the settings of docs/cluster.md."""
        options = {"url": self.url, "verify": "true"} | self.options
        lines = [f"    {name} = {value}\n" for name, value in options.items()]
        text = "[core]\n    remote = lab\n['remote \"lab\"']\n" + "".join(lines)
        (site.path / ".dvc/config.local").write_text(text)

    def names(self):
        """Return the objects in it."""
        return names_in(self.folder / FILES_OF)

    def read(self, oid):
        return self.path(oid).read_bytes()

    def write(self, oid, content):
        path = self.path(oid)
        mode = path.stat().st_mode
        path.chmod(0o644)
        path.write_bytes(content)
        path.chmod(mode)  # a fault leaves it as it was

    def remove(self, oid):
        self.path(oid).unlink()

    def path(self, oid):
        return self.folder / FILES_OF / oid[:2] / oid[2:]


class Bucket(Remote):
    """A remote on an S3 server."""

    def __init__(self, address, name):
        super().__init__(f"s3://{name}/dvc", **at(address))
        self.bucket = f"{address}/{name}"
        ask("PUT", self.bucket)

    def names(self):
        page = ET.fromstring(ask("GET", f"{self.bucket}?list-type=2&prefix=dvc/{FILES_OF}/"))  # noqa: S314 - our own server
        keys = [str(key.text) for key in page.iterfind(".//{*}Key")]
        return {"".join(key.split("/")[-2:]) for key in keys}

    def read(self, oid):
        return ask("GET", self.path(oid))

    def write(self, oid, content):
        ask("PUT", self.path(oid), content)

    def remove(self, oid):
        ask("DELETE", self.path(oid))

    def path(self, oid):
        return f"{self.bucket}/dvc/{FILES_OF}/{oid[:2]}/{oid[2:]}"


def at(address):
    """Return the settings of a remote on an S3 server, as in docs/cluster.md."""
    return {"endpointurl": address, "profile": "lab", "connect_timeout": 2}


def ask(method, url, content=None):
    """Ask the S3 server, which does not look at signatures."""
    request = urllib.request.Request(  # noqa: S310 - of this machine
        url, content, {"Authorization": SIGNED}, method=method
    )
    with urllib.request.urlopen(request, timeout=LAST) as answer:  # noqa: S310
        return answer.read()


def names_in(folder):
    """Return the names of the complete objects in a folder."""
    found = {file.parent.name + file.name for file in folder.glob("??/*")}
    return {name for name in found if len(name.removesuffix(".dir")) == len("0123abcd" * 4)}


def is_good(oid, content):
    """Return whether an object is what its name says."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest() == oid.removesuffix(".dir")


def kill_when(process, met):
    """Kill a command with all its processes when something is true, which has to come."""
    end = time.monotonic() + LAST
    while not met():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
