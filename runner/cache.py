"""Verify DVC's local cache: hash every object again and set aside those that do not match.

    python -m runner.cache [--jobs N] [--again]

DVC never verifies a read-only object of its cache, so that a damaged one is copied to results and
remotes unnoticed. An interrupted check resumes where it stopped.
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

from runner.console import (
    INTERRUPTED,
    available_cores,
    describe,
    echo,
    format_duration,
    positive_int,
)

_FILES = Path("files", "md5")
# Folders of a cache and the names of their objects: files and the listings of folders; the listings
# that DVC makes of folders of code; the run-cache. Other names are files that are being written.
_OBJECTS = {
    f"{_FILES}/??": re.compile(r"[0-9a-f]{30}(\.dir)?"),
    "[0-9a-f][0-9a-f]": re.compile(r"[0-9a-f]{30}\.dir"),
    "runs/??/*": re.compile(r"[0-9a-f]{64}"),
}
_QUARANTINE = "damaged"  # a folder in the cache that DVC does not read
_BLOCK = 2**18  # bytes that a thread reads and hashes at a time


@dataclass
class Result:
    """Counts of a check of one folder of the cache, or of several.

    Attributes
    ----------
    objects
        Number of objects that were read.
    size
        Their size in bytes.
    damaged
        Number of damaged objects, which were set aside.
    errors
        A sentence for each object that could not be read or set aside.
    """

    objects: int = 0
    size: int = 0
    damaged: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, other: "Result") -> None:
        """Add the counts of another folder."""
        self.objects += other.objects
        self.size += other.size
        self.damaged += other.damaged
        self.errors += other.errors


class Progress:
    """The folders of a cache that a check has finished, in a file from which the check resumes.

    Parameters
    ----------
    file
        The file; its first line names the cache.
    cache
        Folder of the cache; the check resumes only if the file names the same folder.
    again
        Whether to check all folders, whatever the file lists.
    """

    def __init__(self, file: Path, cache: Path, again: bool) -> None:
        self.file = file
        self.done: set[str] = set()
        with suppress(FileNotFoundError):
            uri, *done = file.read_text().split()
            self.done = set(done) if uri == cache.as_uri() and not again else set()
        if self.done:
            stopped = datetime.fromtimestamp(file.stat().st_mtime).astimezone()
            echo(f"resuming the check that stopped {stopped:%F %R}; --again starts anew")
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{cache.as_uri()}\n")

    def add(self, folder: str) -> None:
        """Record a folder as finished."""
        with self.file.open("a") as file:
            file.write(f"{folder}\n")


class Check:
    """A check of a cache, which hashes its objects on several threads.

    Parameters
    ----------
    cache
        Folder of the cache.
    progress
        The folders that an earlier check has finished.
    """

    def __init__(self, cache: Path, progress: Progress) -> None:
        self.cache = cache
        self.progress = progress
        self._stopping = Event()

    def run(self, jobs: int) -> Result:
        """Check the folders that `progress` does not list, on `jobs` threads.

        Damaged objects are moved to the cache's folder `damaged`.

        Returns
        -------
        :
            Counts over the folders that this call checked.
        """
        total = Result()
        pool = ThreadPoolExecutor(jobs)
        try:
            futures = {}
            for pattern, names in _OBJECTS.items():
                for folder in sorted(self.cache.glob(pattern)):
                    name = str(folder.relative_to(self.cache))
                    if name not in self.progress.done:
                        futures[pool.submit(self._check, folder, names)] = name
            for future in tqdm(as_completed(futures), total=len(futures), disable=None):
                total.add(future.result())
                self.progress.add(futures[future])
        finally:
            self._stopping.set()
            pool.shutdown(cancel_futures=True)
        self.progress.file.unlink()
        return total

    def _check(self, folder: Path, names: re.Pattern[str]) -> Result:
        """Check the objects of a folder whose names match."""
        result = Result()
        for path in folder.iterdir():
            if not names.fullmatch(path.name) or self._stopping.is_set():
                continue
            try:
                size = path.stat().st_size
                intact = self._is_intact(path)
                if not intact and not self._stopping.is_set():
                    self._quarantine(path)
            except FileNotFoundError:  # deleted since the folder was listed
                continue
            except OSError as error:
                result.errors.append(f"{error}; its owner has to look at it")
                continue
            result.add(Result(1, size, 0 if intact else 1))
        return result

    def _is_intact(self, path: Path) -> bool:
        """Return whether an object has the hash that is its name."""
        if path.relative_to(self.cache).parts[0] == "runs":
            return path.name == _run_cache_hash(path)
        digest = hashlib.md5(usedforsecurity=False)
        block = memoryview(bytearray(_BLOCK))
        with path.open("rb", buffering=0) as file:
            while (size := file.readinto(block)) and not self._stopping.is_set():
                digest.update(block[:size])
        return digest.hexdigest() == _object_id(path).removesuffix(".dir")

    def _quarantine(self, path: Path) -> None:
        """Move an object to a folder that DVC does not read."""
        target = self.cache / _QUARANTINE / path.relative_to(self.cache)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _object_id(path: Path) -> str:
    """Return DVC's name of the object in a file."""
    return path.parent.name + path.name


def _run_cache_hash(path: Path) -> str:
    """Return the name that an entry of the run-cache should have; empty if it is not YAML."""
    try:
        return str(dict_sha256(load_yaml(path), exclude=["size", "nfiles"]))
    except ParseError:
        return ""


def _missing_objects(cache: Path) -> list[str]:
    """Return the hashes of objects that were set aside and not restored, run-cache excepted."""
    quarantine = cache / _QUARANTINE
    files = sorted((quarantine / _FILES).glob("??/*"))
    missing = (path for path in files if not (cache / path.relative_to(quarantine)).exists())
    return [_object_id(path) for path in missing]


def _outputs_of(repo: Repo, cache: Path, objects: list[str]) -> dict[str, list[str]]:
    """Return, for each object, the pipeline's outputs and files in them that have its content.

    Parameters
    ----------
    repo
        DVC's repository; its outputs are those of the current `dvc.lock`.
    cache
        Folder of its cache.
    objects
        Hashes of objects.
    """
    outputs: dict[str, list[str]] = {name: [] for name in objects}
    for out in repo.index.outs:
        value = str(out.hash_info.value)
        outputs.get(value, []).append(str(out))
        folder = cache / _FILES / value[:2] / value[2:]
        if value.endswith(".dir") and folder.exists():
            for entry in json.loads(folder.read_text()):
                outputs.get(entry["md5"], []).append(f"{out}/{entry['relpath']}")
    return outputs


def _report(result: Result, missing: dict[str, list[str]], quarantine: Path) -> int:
    """Print what is damaged and the remedy; return the exit code.

    Parameters
    ----------
    result
        Counts of the check.
    missing
        Paths of the outputs that need each missing object, by its hash.
    quarantine
        Folder of the objects that were set aside.
    """
    for sentence in result.errors:
        echo(f"error: {sentence}")
    if missing:
        echo(f"set aside in {quarantine} and not restored yet:")
        for name, paths in missing.items():
            echo(f"    {name}  {', '.join(paths) or 'not in the current dvc.lock'}")
        echo(
            "`dvc fetch` brings those that a remote has, `dvc checkout --relink` puts them into "
            "the workspace, `dvc repro` computes the others.\nWhat was computed from them since is "
            f"not to be trusted: `dvc repro --force --downstream STAGE`. Then remove {quarantine}"
        )
    return 1 if result.errors or missing else 0


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.cache",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cores = available_cores()
    parser.add_argument(
        "--jobs", type=positive_int, default=cores, help=f"threads (default: {cores})"
    )
    parser.add_argument("--again", action="store_true", help="do not resume a stopped check")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parse_args(argv)
    began = time.monotonic()
    try:
        with Repo() as repo:
            cache = Path(repo.cache.local_cache_dir)
            progress = Progress(Path(repo.tmp_dir, "cache-check"), cache, args.again)
            result = Check(cache, progress).run(args.jobs)
            echo(
                f"{result.objects} objects, {result.size / 1e6:.1f} MB in "
                f"{format_duration(time.monotonic() - began)}: {result.damaged} damaged"
            )
            missing = _outputs_of(repo, cache, _missing_objects(cache))
            return _report(result, missing, cache / _QUARANTINE)
    except DvcException as error:
        echo(f"error: {describe(error)}")
        return 1
    except KeyboardInterrupt:
        echo("stopped: the same command resumes")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
