"""The client of the hub is real; only the responses of the network are simulated."""

import hashlib
import re

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import errors
from huggingface_hub.utils._http import hf_raise_for_status

from cell_synergy.core import hub
from cell_synergy.core.errors import ConfigError, DataError

PAGE = "https://huggingface.co/lab/net"
COMMIT = "0123456789" * 4


@pytest.fixture(autouse=True)
def _anonymous(monkeypatch, tmp_path):
    """No token, and an empty cache."""
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_token")


def _error_of(status, code="", message=""):
    """Return the error that the client raises for a response of the hub."""
    headers = {"X-Error-Code": code, "X-Error-Message": message}
    request = httpx2.Request("HEAD", f"{PAGE}/resolve/{COMMIT}/weights.bin")
    with pytest.raises(errors.HfHubHTTPError) as raised:
        hf_raise_for_status(httpx2.Response(status, headers=headers, request=request))
    return raised.value


def _fails(monkeypatch, error):
    def request(*_, **__):
        raise error

    monkeypatch.setattr("huggingface_hub.file_download.get_hf_file_metadata", request)


def _message(error=DataError):
    with pytest.raises(error) as raised:
        hub.fetch("lab/net", "weights.bin", COMMIT)
    return str(raised.value)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (
            (401, "GatedRepo"),
            "is not public: check its name, accept its licence .* make a token at",
        ),
        ((401, "RepoNotFound"), "does not exist or is not public: check its name, .* HF_TOKEN, or"),
        ((403,), "does not exist or is not public: check its name, .* HF_TOKEN, or"),
        ((404, "EntryNotFound"), r"has no file 'weights\.bin' at revision 0123.*"),
        (
            (404, "RepoNotFound"),
            r"cannot be fetched .*\(.*404.*Repository Not Found.*\); run the same again",
        ),
        ((404, "RevisionNotFound"), r"cannot be fetched at revision 0123.*Revision Not Found"),
        ((429,), r"cannot be fetched .*429.*\); run the same again when this is solved"),
        ((503,), r"cannot be fetched .*503.*\); run the same again when this is solved"),
    ],
)
def test_an_error_response_without_a_token_is_one_sentence(monkeypatch, response, message):
    _fails(monkeypatch, _error_of(*response))
    text = _message()
    assert re.search(message, text)
    assert PAGE in text
    assert "\n" not in text


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    ("response", "message"),
    [
        ((403, "GatedRepo"), f"^{PAGE} refuses your token .*: check .* name, accept its licence"),
        ((401, "", "Invalid credentials in Authorization header"), "refuses your token .HF_TOKEN"),
        ((401, "RepoNotFound"), "refuses your token .*: check the repository's name"),
        ((403,), "refuses your token .* let the token read gated repositories at"),
    ],
)
def test_an_error_response_to_a_token_is_one_sentence(monkeypatch, response, message):
    _fails(monkeypatch, _error_of(*response))
    text = _message()
    assert re.search(message, text)
    assert "\n" not in text


def test_a_missing_network_is_reported_with_an_alternative(monkeypatch):
    _fails(monkeypatch, httpx2.ConnectError("[Errno -2] Name or service not known"))
    assert re.fullmatch(
        rf"{PAGE} cannot be reached \(\[Errno -2\] Name or service not known\) and is not in the "
        r"hub's cache here; connect to the network, or .* set `weights` to its path",
        _message(),
    )


def test_the_offline_switch_of_the_client_is_named(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert re.search(r"cannot be reached \(.*HF_HUB_OFFLINE.*\) and is not in the hub", _message())


def test_an_invalid_repository_name_is_an_error_in_the_parameters():
    with pytest.raises(ConfigError, match=r"'a b'.* Write the repository as owner/name"):
        hub.fetch("a b", "weights.bin", COMMIT)


def test_a_full_disk_is_named(monkeypatch):
    _fails(monkeypatch, OSError(28, "No space left on device"))
    assert re.search("cannot be fetched .*No space left on device.*run the same", _message())


def test_a_cached_file_needs_no_network_and_has_its_commit(monkeypatch, tmp_path):
    _fails(monkeypatch, httpx2.ConnectError("no network"))
    folder = tmp_path / "cache/models--lab--net/snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"w")
    found = hub.fetch("lab/net", "weights.bin", COMMIT)
    assert found.read_bytes() == b"w"
    assert hub.commit_of(found) == COMMIT


def _git_hash(content):
    """Return the hash of a blob in Git."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@pytest.fixture
def repository(monkeypatch):
    """A hub with three files; changes of the returned content are served, but not listed."""
    files = {"st/A.h5ad": b"12345", "st/B.h5ad": b"678", "wsis/A.tif": b"9"}
    served = dict(files)

    def tree(_, repo, **__):
        assert repo == "lab/data"
        for path, content in files.items():
            size, oid = len(content), _git_hash(content)
            large = {"size": size, "oid": hashlib.sha256(content).hexdigest(), "pointerSize": 1}
            more = {"lfs": large} if path.startswith("wsis") else {}
            yield huggingface_hub.RepoFile(path=path, size=size, oid=oid, **more)
        yield huggingface_hub.RepoFolder(path="st", oid="1")

    def snapshot(_, local_dir, allow_patterns, **__):
        for path in allow_patterns:
            (local_dir / path).parent.mkdir(parents=True, exist_ok=True)
            (local_dir / path).write_bytes(served[path])
        (local_dir / ".cache/huggingface").mkdir(parents=True)

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_tree", tree)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    return served


def _many(folder, *patterns):
    return hub.fetch_many("lab/data", patterns, COMMIT, "dataset", folder)


@pytest.mark.usefixtures("repository")
def test_many_files_keep_their_paths_and_nothing_else_is_written(tmp_path):
    _many(tmp_path / "new", "st/A*", "wsis/A.tif")
    found = {
        str(f.relative_to(tmp_path / "new")) for f in (tmp_path / "new").rglob("*.*") if f.is_file()
    }
    assert found == {"st/A.h5ad", "wsis/A.tif"}
    assert not (tmp_path / "new/.cache/huggingface").exists()


@pytest.mark.usefixtures("repository")
def test_a_pattern_without_a_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"datasets/lab/data has no file 'st/C\*' at revision 0123"):
        _many(tmp_path, "st/A*", "st/C*")


def test_an_incomplete_file_is_named_and_removed(repository, tmp_path):
    repository["st/B.h5ad"] = b"6"
    with pytest.raises(
        DataError, match=r"st/B\.h5ad: was not downloaded completely; run the same again"
    ):
        _many(tmp_path, "st/*")
    assert not (tmp_path / "st/B.h5ad").exists()  # or the next run would refuse to replace it


@pytest.mark.usefixtures("repository")
def test_equal_files_may_exist_already(tmp_path):
    for _ in range(2):
        _many(tmp_path, "st/*", "wsis/*")
    assert (tmp_path / "wsis/A.tif").read_bytes() == b"9"


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("path", "content"), [("st/A.h5ad", b"54321"), ("st/A.h5ad", b"own"), ("wsis/A.tif", b"8")]
)
def test_a_different_file_is_not_replaced(tmp_path, path, content):
    (tmp_path / path).parent.mkdir()
    (tmp_path / path).write_bytes(content)
    with pytest.raises(DataError, match=rf"{path}: exists already and is not the hub's file"):
        _many(tmp_path, "st/*", "wsis/*")
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [tmp_path / path]
    assert (tmp_path / path).read_bytes() == content


@pytest.mark.usefixtures("repository")
def test_a_link_is_not_replaced(tmp_path):
    (tmp_path / "st").mkdir()
    (tmp_path / "st/A.h5ad").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="nothing was changed"):
        _many(tmp_path, "st/*")


def test_many_files_without_network(monkeypatch, tmp_path):
    def tree(*_, **__):
        raise httpx2.ConnectTimeout("timed out")

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_tree", tree)
    message = r"datasets/lab/data cannot be reached \(timed out\).*set `folder`"
    with pytest.raises(DataError, match=message):
        _many(tmp_path, "st/*")
