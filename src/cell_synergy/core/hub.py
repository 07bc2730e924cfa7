"""Download of files from the Hugging Face hub at a pinned revision.

A failure is reported in one sentence with its remedy: refused access, no network and missing files
are explained here, all other errors are quoted from `huggingface_hub`.
"""

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

_RepoType = Literal["model", "dataset"]
_SITE = "https://huggingface.co"
_TOKENS = f"{_SITE}/settings/tokens"
_ALTERNATIVE = {
    "model": "fetch the file elsewhere and set `weights` to its path",
    "dataset": "fetch the files elsewhere and set `folder` of the data set to their folder",
}
# raised by the HTTP library of the client, and not part of its typed interface
_HTTPError: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
_UNAUTHORIZED, _FORBIDDEN = 401, 403  # HTTP status
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Headers of the hub's responses; a proxy or a sign-in page sends none of them.
_HUB_HEADERS = ("x-error-code", "x-repo-commit", "x-request-id", "x-amz-cf-id")


def fetch(repo: str, file: str, revision: str, kind: _RepoType = "model") -> Path:
    """Download a file of a repository to the hub's cache, unless it is there; return its path.

    Parameters
    ----------
    repo, file
        Repository as `owner/name`, and path of the file inside it.
    revision
        A commit, branch or tag; `commit_of` returns the commit that it was resolved to.
    kind
        Type of the repository, `model` or `dataset`.

    Raises
    ------
    ConfigError
        If `repo` is not a valid name.
    DataError
        If the file cannot be downloaded or is damaged.
    """
    with _reporting(repo, revision, kind):
        path = Path(hub.hf_hub_download(repo, file, revision=revision, repo_type=kind))
    _require_checksum(path)
    return path


def commit_of(path: Path) -> str:
    """Return the commit of a file of the hub's cache, given its path as `fetch` returns it."""
    parts = path.parts
    return parts[parts.index("snapshots") + 1]


def fetch_many(
    repo: str, patterns: Sequence[str], revision: str, kind: _RepoType, folder: Path
) -> Path:
    """Download the files of a repository that match any of the patterns into `folder`.

    Files that an interrupted call has completed are not downloaded again.

    Parameters
    ----------
    repo, revision
        Repository as `owner/name`, and a commit, branch or tag of it.
    patterns
        Paths inside the repository; `*` stands for any characters, including slashes.
    kind
        Type of the repository, `model` or `dataset`.
    folder
        Folder to download to; files keep their paths inside the repository. Created if missing.

    Returns
    -------
    The folder.

    Raises
    ------
    ConfigError
        If `repo` is not a valid name.
    DataError
        If a pattern matches no file, a file cannot be downloaded completely, or a different file is
        at its path in `folder`.
    """
    with _reporting(repo, revision, kind):
        tree = hub.HfApi().list_repo_tree(repo, recursive=True, revision=revision, repo_type=kind)
        entries = {entry.path: entry for entry in tree if isinstance(entry, hub.RepoFile)}
        selected: set[str] = set()
        for pattern in patterns:
            if not (matches := {path for path in entries if fnmatch(path, pattern)}):
                raise DataError(_missing_file(repo, pattern, revision, kind))
            selected |= matches
        for path in sorted(selected):
            _require_replaceable(folder / path, entries[path])
        hub.snapshot_download(
            repo,
            revision=revision,
            repo_type=kind,
            local_dir=folder,
            allow_patterns=sorted(selected),
        )
    for path in sorted(selected):
        target = folder / path
        if not target.is_file() or target.stat().st_size != entries[path].size:
            target.unlink(missing_ok=True)  # not the user's: `_require_replaceable` checked that
            raise DataError(f"{target}: was not downloaded completely; run the same again")
    shutil.rmtree(folder / ".cache" / "huggingface", ignore_errors=True)
    return folder


def _require_checksum(path: Path) -> None:
    """Refuse a cached file whose SHA-256 differs from its name in the cache."""
    expected = path.resolve().name
    if not _SHA256.fullmatch(expected):
        return
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise DataError(
            f"{path}: is damaged: its sha256 is {actual[:12]}..., the hub's {expected[:12]}...; "
            f"remove {path.resolve()} and run the same again"
        )


def _require_replaceable(path: Path, entry: hub.RepoFile) -> None:
    """Refuse to download to the path of an existing file that differs from the hub's."""
    if not path.exists() and not path.is_symlink():
        return
    if path.is_file() and path.stat().st_size == entry.size and _is_equal(path, entry):
        return
    raise DataError(
        f"{path}: exists already and is not the hub's file; nothing was changed: move it away, or "
        "set `folder` of the data set to another folder"
    )


def _is_equal(path: Path, entry: hub.RepoFile) -> bool:
    """Return whether a file has the hash that the hub states for its file."""
    if entry.lfs:
        digest, expected = hashlib.sha256(), entry.lfs.sha256
    else:
        digest, expected = hashlib.sha1(usedforsecurity=False), entry.blob_id
        digest.update(b"blob %d\0" % entry.size)  # header of a blob in Git
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == expected


@contextmanager
def _reporting(repo: str, revision: str, kind: _RepoType) -> Iterator[None]:
    """Raise the errors of `huggingface_hub` as errors of this package with a remedy."""
    try:
        yield
    except DataError:
        raise
    except errors.HFValidationError as error:
        raise ConfigError(f"{_one_line(error)} Write the repository as owner/name") from error
    except errors.LocalEntryNotFoundError as error:
        raise DataError(_message(error.__cause__ or error, repo, revision, kind)) from error
    except (_HTTPError, errors.XetDownloadError, OSError, ValueError) as error:
        raise DataError(_message(error, repo, revision, kind)) from error


def _message(error: BaseException, repo: str, revision: str, kind: _RepoType) -> str:
    page, reason = _page(repo, kind), _one_line(error)
    if isinstance(error, errors.HfHubHTTPError):
        response = error.response
        is_from_hub = any(name in response.headers for name in _HUB_HEADERS)
        if is_from_hub and isinstance(error, errors.EntryNotFoundError):
            file = str(response.url).rpartition(f"/{revision}/")[2]
            return _missing_file(repo, file, revision, kind)
        if is_from_hub and response.status_code in {_UNAUTHORIZED, _FORBIDDEN}:
            return _refusal(page, kind)
        if not is_from_hub:
            reason = f"HTTP {response.status_code} from a server that is not the hub, maybe a proxy"
    elif isinstance(error, errors.OfflineModeIsEnabled | _HTTPError):
        return (
            f"{page} cannot be reached ({reason}) and is not in the hub's cache here; "
            f"connect to the network, or {_ALTERNATIVE[kind]}"
        )
    return (
        f"{page} cannot be fetched at revision {revision} ({reason}); run the same again when this "
        f"is solved, or {_ALTERNATIVE[kind]}"
    )


def _missing_file(repo: str, file: str, revision: str, kind: _RepoType) -> str:
    page = _page(repo, kind)
    return f"{page} has no file {file!r} at revision {revision}; see {page}/tree/{revision}"


def _refusal(page: str, kind: _RepoType) -> str:
    """Return the message for a repository that is private or gated, or does not exist."""
    if hub.get_token() is None:
        return (
            f"{page} does not exist or is not public: check its name, accept its licence on that "
            f"page, make a token at {_TOKENS} and run `hf auth login` or set HF_TOKEN, or "
            f"{_ALTERNATIVE[kind]}"
        )
    return (
        f"{page} refuses your token (HF_TOKEN or `hf auth login`): check the repository's name, "
        "accept its licence on that page with the account of the token (some owners approve by "
        f"hand), let the token read gated repositories at {_TOKENS}, or {_ALTERNATIVE[kind]}"
    )


def _page(repo: str, kind: _RepoType) -> str:
    prefix = "datasets/" if kind == "dataset" else ""
    return f"{_SITE}/{prefix}{repo}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
