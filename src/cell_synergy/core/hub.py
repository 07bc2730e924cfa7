"""Files of the Hugging Face hub at a pinned revision; a failure is one sentence with its remedy."""

import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import huggingface_hub as hub
from huggingface_hub import errors

from cell_synergy.core.errors import ConfigError, DataError

Kind = Literal["model", "dataset"]
_SITE = "https://huggingface.co"
_TOKENS = f"{_SITE}/settings/tokens"
_LOGIN = f"make a token at {_TOKENS} and run `hf auth login` or set HF_TOKEN"
_OTHERWISE = {
    "model": "or fetch the file elsewhere and set `weights` to its path",
    "dataset": "or fetch the files elsewhere and name their folder as the data set's",
}
_REFUSED, _FORBIDDEN, _MISSING, _TOO_MANY = 401, 403, 404, 429
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIGNED = ("x-error-code", "x-repo-commit", "x-request-id", "x-amz-cf-id")  # the hub's own answers


def fetch(repo: str, file: str, revision: str, kind: Kind = "model") -> Path:
    """Return a file of a repository, from the hub's cache on this machine or the hub itself.

    Parameters
    ----------
    repo, file
        `owner/name`, and a path inside it.
    revision
        A commit; a branch or tag is resolved to one, see `commit`.
    kind
        What the repository holds.

    Raises
    ------
    DataError
        If the file cannot be had; the message says why and what to do.
    """
    with _explained(repo, revision, kind):
        found = Path(hub.hf_hub_download(repo, file, revision=revision, repo_type=kind))
    _require_whole(found)
    return found


def _require_whole(path: Path) -> None:
    """Refuse a file of the cache that is not what its name there, a SHA-256, says."""
    expected = path.resolve().name
    if _SHA256.fullmatch(expected):
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise DataError(
                f"{path}: the hub says sha256 {expected[:12]}..., this has {found[:12]}...: it is "
                f"damaged; remove {path.resolve()} and run the same again"
            )


def _require_free(path: Path, entry: hub.RepoFile) -> None:
    """Refuse to fetch over a file that is not the hub's: it is somebody's own."""
    if not path.exists() and not path.is_symlink():
        return
    same = path.is_file() and path.stat().st_size == entry.size
    if same:
        digest = hashlib.sha256() if entry.lfs else hashlib.sha1(usedforsecurity=False)
        if not entry.lfs:  # git's name of a file's content
            digest.update(b"blob %d\0" % entry.size)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        same = digest.hexdigest() == (entry.lfs.sha256 if entry.lfs else entry.blob_id)
    if not same:
        raise DataError(
            f"{path}: is there already and is not the hub's file; nothing was touched: move it "
            "away, or name another folder for the data set"
        )


def commit(fetched: Path) -> str:
    """Return the commit that a file returned by `fetch` is of."""
    parts = fetched.parts
    return parts[parts.index("snapshots") + 1]


def fetch_many(repo: str, patterns: Sequence[str], revision: str, kind: Kind, folder: Path) -> Path:
    """Fetch every file of a repository that matches a pattern into `folder`.

    What an interrupted call left in `folder` is not fetched again.

    Parameters
    ----------
    repo, revision, kind
        As for `fetch`.
    patterns
        Paths inside the repository; `*` stands for any characters, slashes included.
    folder
        Is made where it does not exist; files keep their paths inside the repository.

    Raises
    ------
    DataError
        If a pattern matches nothing, a file cannot be had, or another one is in its place.
    """
    with _explained(repo, revision, kind):
        tree = hub.HfApi().list_repo_tree(repo, recursive=True, revision=revision, repo_type=kind)
        entries = {entry.path: entry for entry in tree if isinstance(entry, hub.RepoFile)}
        wanted: set[str] = set()
        for pattern in patterns:
            if not (found := {path for path in entries if fnmatch(path, pattern)}):
                raise DataError(
                    f"{_page(repo, kind)} has no file {pattern!r} at revision {revision}; the "
                    f"files are listed at {_page(repo, kind)}/tree/{revision}"
                )
            wanted |= found
        for path in sorted(wanted):
            _require_free(folder / path, entries[path])
        hub.snapshot_download(
            repo, revision=revision, repo_type=kind, local_dir=folder, allow_patterns=sorted(wanted)
        )
    for path in sorted(wanted):
        if not (folder / path).is_file() or (folder / path).stat().st_size != entries[path].size:
            (folder / path).unlink(
                missing_ok=True
            )  # ours: nothing, or the same, stood there before
            raise DataError(f"{folder / path}: was not fetched whole; run the same again")
    shutil.rmtree(folder / ".cache" / "huggingface", ignore_errors=True)
    return folder


def _page(repo: str, kind: Kind) -> str:
    return f"{_SITE}/{'datasets/' if kind == 'dataset' else ''}{repo}"


@contextmanager
def _explained(repo: str, revision: str, kind: Kind) -> Iterator[None]:
    """Turn the client's errors into sentences."""
    try:
        yield
    except errors.HFValidationError as error:
        raise ConfigError(f"{repo!r} is no repository of the hub; write owner/name") from error
    except errors.HfHubHTTPError as error:
        raise DataError(_refusal(error, repo, revision, kind)) from error
    except errors.LocalEntryNotFoundError as error:
        cause = error.__cause__
        if isinstance(cause, errors.HfHubHTTPError):
            raise DataError(_refusal(cause, repo, revision, kind)) from error
        raise DataError(_unreachable(cause or error, repo, kind)) from error
    except (errors.OfflineModeIsEnabled, errors.HTTPError) as error:  # type: ignore[attr-defined]
        raise DataError(_unreachable(error, repo, kind)) from error
    except errors.XetDownloadError as error:
        raise DataError(_cut(error, repo, kind)) from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(_intercepted(_first_line(error), repo, kind)) from error
    except OSError as error:
        raise DataError(_unstored(error, repo, kind)) from error


def _unreachable(cause: BaseException, repo: str, kind: Kind) -> str:
    if isinstance(cause, errors.OfflineModeIsEnabled):
        return (
            f"{_page(repo, kind)} is not in the hub's cache here and HF_HUB_OFFLINE forbids to "
            f"fetch it; unset that, {_OTHERWISE[kind]}"
        )
    if isinstance(cause, errors.FileMetadataError):
        return _intercepted("an answer that the hub does not give", repo, kind)
    return (
        f"{_page(repo, kind)} cannot be reached ({_first_line(cause)}) and is not in the hub's "
        f"cache here; connect to the network, {_OTHERWISE[kind]}"
    )


def _unstored(error: OSError, repo: str, kind: Kind) -> str:
    if error.errno is None:  # the client's own, of a file that is too short or too long
        return _cut(error, repo, kind)
    return (
        f"{_page(repo, kind)} cannot be stored here ({error}); free some space, or set HF_HOME "
        "to a folder for the hub's cache"
    )


def _cut(error: BaseException, repo: str, kind: Kind) -> str:
    return (
        f"{_page(repo, kind)} was not fetched whole ({_first_line(error)}); run the same again, "
        "which goes on"
    )


def _intercepted(how: str, repo: str, kind: Kind) -> str:
    """Say that something between here and the hub answered."""
    return (
        f"{_page(repo, kind)} was answered by something else than the hub ({how}): a proxy, a "
        "firewall or a sign-in page; sign in to the network, set HTTPS_PROXY as its owner says, "
        f"check HF_ENDPOINT, {_OTHERWISE[kind]}"
    )


def _refusal(error: errors.HfHubHTTPError, repo: str, revision: str, kind: Kind) -> str:
    """Say what the hub's answer means and what to do."""
    page = _page(repo, kind)
    status = error.response.status_code
    if not any(name in error.response.headers for name in _SIGNED):
        return _intercepted(f"HTTP {status}", repo, kind)
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{page} has no revision {revision!r}; set one that {page}/commits/main lists"
    if isinstance(error, errors.EntryNotFoundError):
        name = str(error.response.url).rpartition(f"/{revision}/")[2]
        return f"{page} has no file {name!r} at revision {revision}; see {page}/tree/{revision}"
    anonymous, gated = hub.get_token() is None, isinstance(error, errors.GatedRepoError)
    if gated and anonymous:
        return f"{page} is gated: accept its licence there, {_LOGIN}, {_OTHERWISE[kind]}"
    if gated:
        return (
            f"{page} is gated and your account has no access: accept its licence there (some "
            "owners approve by hand) and check that your token is of that account"
        )
    answers = {
        _REFUSED: f"{page} does not exist or is not public; check its name, or {_LOGIN}"
        if anonymous
        else f"the hub does not accept your token (HF_TOKEN or `hf auth login`); {_LOGIN}",
        _FORBIDDEN: f"{page} is not for everybody: accept its licence there, {_LOGIN}"
        if anonymous
        else f"your token may not read {page}; let it read gated repositories at {_TOKENS}, "
        "and accept the licence on that page",
        _TOO_MANY: f"the hub takes no more questions from here now ({page}); wait some minutes, "
        + ("or log in: " + _LOGIN if anonymous else "and run the same again"),
        _MISSING: f"there is no {kind} at {page}; check its name",
    }
    failed = f"the hub failed for {page} ({_first_line(error)}); try again later"
    return answers.get(status, failed)


def _first_line(error: BaseException) -> str:
    """Return what an error says in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
