"""Check DVC's local cache: hash every object anew and set aside what is not what its name says.

    python -m slurm.cache [--jobs N] [--again]

DVC never reads a read-only object of its cache again, so a damaged one goes unnoticed into results
and remotes. An interrupted check goes on where it stopped.
"""

import argparse
import hashlib
import json
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.utils import dict_sha256
from dvc.utils.serialize import ParseError, load_yaml
from tqdm import tqdm

from slurm.console import clock, cores_here, explained, say

FILES = Path("files", "md5")
# Folders of a cache, and the objects in them: files and the lists of files of folders; the lists
# that DVC makes of folders of code; the run-cache. Other names are files that are being written.
PLACES = {
    f"{FILES}/??": re.compile(r"[0-9a-f]{30}(\.dir)?"),
    "[0-9a-f][0-9a-f]": re.compile(r"[0-9a-f]{30}\.dir"),
    "runs/??/*": re.compile(r"[0-9a-f]{64}"),
}
ASIDE = "damaged"  # a folder in the cache; DVC does not look there
BLOCK = 2**18  # bytes that a thread reads and hashes at a time
STOPPED = 130


@dataclass
class Found:
    """What there is in a folder of the cache, or in all.

    Attributes
    ----------
    objects
        How many objects were read.
    size
        Their bytes.
    damaged
        How many of them were set aside.
    trouble
        A sentence for each that could not be read, or not be set aside.
    """

    objects: int = 0
    size: int = 0
    damaged: int = 0
    trouble: list[str] = field(default_factory=list)

    def add(self, other: "Found") -> None:
        """Count what is in another folder."""
        self.objects += other.objects
        self.size += other.size
        self.damaged += other.damaged
        self.trouble += other.trouble


class Record:
    """The folders of a cache that an interrupted check has done, in a file.

    Parameters
    ----------
    file
        Where they are noted.
    cache
        Whose they are; those of another cache do not count.
    again
        Whether to forget them.
    """

    def __init__(self, file: Path, cache: Path, again: bool) -> None:
        self.file = file
        self.done: set[str] = set()
        with suppress(FileNotFoundError):
            of, *done = file.read_text().split()
            self.done = set(done) if of == cache.as_uri() and not again else set()
        if self.done:
            stopped = datetime.fromtimestamp(file.stat().st_mtime).astimezone()
            say(f"going on with the check that stopped {stopped:%F %R}; --again starts anew")
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{cache.as_uri()}\n")

    def add(self, folder: str) -> None:
        """Note a folder as done."""
        with self.file.open("a") as file:
            file.write(f"{folder}\n")


class Check:
    """The check of a cache.

    Parameters
    ----------
    cache
        DVC's cache.
    record
        What is done.
    """

    def __init__(self, cache: Path, record: Record) -> None:
        self.cache = cache
        self.record = record
        self.stopping = Event()

    def run(self, jobs: int) -> Found:
        """Check the folders that are not done yet, on so many threads."""
        every = Found()
        pool = ThreadPoolExecutor(jobs)
        try:
            futures = {}
            for place, names in PLACES.items():
                for folder in sorted(self.cache.glob(place)):
                    name = str(folder.relative_to(self.cache))
                    if name not in self.record.done:
                        futures[pool.submit(self._check, folder, names)] = name
            for future in tqdm(as_completed(futures), total=len(futures), disable=None):
                every.add(future.result())
                self.record.add(futures[future])
        finally:
            self.stopping.set()
            pool.shutdown(cancel_futures=True)
        self.record.file.unlink()
        return every

    def _check(self, folder: Path, names: re.Pattern[str]) -> Found:
        """Check the objects of a folder."""
        found = Found()
        for path in folder.iterdir():
            if not names.fullmatch(path.name) or self.stopping.is_set():
                continue
            try:
                size = path.stat().st_size
                good = self._is_good(path)
                if not good and not self.stopping.is_set():
                    self._set_aside(path)
            except FileNotFoundError:  # gone meanwhile
                continue
            except OSError as error:
                found.trouble.append(f"{error}; its owner has to look at it")
                continue
            found.add(Found(1, size, 0 if good else 1))
        return found

    def _is_good(self, path: Path) -> bool:
        """Return whether an object is what its name says."""
        if path.relative_to(self.cache).parts[0] == "runs":
            return path.name == hash_of_run(path)
        digest = hashlib.md5(usedforsecurity=False)
        block = memoryview(bytearray(BLOCK))
        with path.open("rb", buffering=0) as file:
            while (size := file.readinto(block)) and not self.stopping.is_set():
                digest.update(block[:size])
        return digest.hexdigest() == oid(path).removesuffix(".dir")

    def _set_aside(self, path: Path) -> None:
        """Move an object to where DVC does not find it."""
        to = self.cache / ASIDE / path.relative_to(self.cache)
        to.parent.mkdir(parents=True, exist_ok=True)
        path.replace(to)


def oid(path: Path) -> str:
    """Return DVC's name of the object in a file."""
    return path.parent.name + path.name


def hash_of_run(path: Path) -> str:
    """Return the name that an entry of the run-cache should have; nothing if it is not readable."""
    try:
        return str(dict_sha256(load_yaml(path), exclude=["size", "nfiles"]))
    except ParseError:
        return ""


def lacking(cache: Path) -> list[str]:
    """Return the objects that were set aside and are not back; the run-cache is not missed."""
    aside = cache / ASIDE
    files = sorted(path for path in (aside / FILES).glob("??/*"))
    return [oid(path) for path in files if not (cache / path.relative_to(aside)).exists()]


def places(repo: Repo, cache: Path, objects: list[str]) -> dict[str, list[str]]:
    """Return the outputs of the pipeline, or the files in them, that each object is.

    Parameters
    ----------
    repo
        The repository; it knows the outputs of the dvc.lock of now.
    cache
        Its cache.
    objects
        Names of objects.
    """
    found: dict[str, list[str]] = {name: [] for name in objects}
    for out in repo.index.outs:
        value = str(out.hash_info.value)
        found.get(value, []).append(str(out))
        folder = cache / FILES / value[:2] / value[2:]
        if value.endswith(".dir") and folder.exists():
            for entry in json.loads(folder.read_text()):
                found.get(entry["md5"], []).append(f"{out}/{entry['relpath']}")
    return found


def report(found: Found, missed: dict[str, list[str]], aside: Path) -> int:
    """Say what was found and what to do; return the exit code."""
    for sentence in found.trouble:
        say(f"error: {sentence}")
    if missed:
        say(f"set aside in {aside}, and not back yet:")
        for name, paths in missed.items():
            say(f"    {name}  {', '.join(paths) or 'not in the dvc.lock of now'}")
        say(
            "`dvc fetch` brings those that a remote has, `dvc checkout --relink` puts them into "
            "the workspace, `dvc repro` computes the others.\nWhat was computed from them since is "
            f"not to be trusted: `dvc repro --force --downstream STAGE`. Then remove {aside}"
        )
    return 1 if found.trouble or missed else 0


def arguments(words: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m slurm.cache",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cores = cores_here()
    parser.add_argument("--jobs", type=int, default=cores, help=f"threads (default: {cores})")
    parser.add_argument("--again", action="store_true", help="do not go on with a stopped check")
    found = parser.parse_args(words)
    if found.jobs < 1:
        parser.error(f"--jobs {found.jobs}: at least 1")
    return found


def main(words: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = arguments(words)
    began = time.monotonic()
    try:
        with Repo() as repo:
            cache = Path(repo.cache.local_cache_dir)
            record = Record(Path(repo.tmp_dir, "cache-check"), cache, given.again)
            found = Check(cache, record).run(given.jobs)
            say(
                f"{found.objects} objects, {found.size / 1e6:.1f} MB in "
                f"{clock(time.monotonic() - began)}: {found.damaged} damaged"
            )
            return report(found, places(repo, cache, lacking(cache)), cache / ASIDE)
    except DvcException as error:
        say(f"error: {explained(error)}")
        return 1
    except KeyboardInterrupt:
        say("stopped: the same command goes on")
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
