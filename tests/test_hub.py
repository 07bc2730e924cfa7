"""The hub's client is real; only what it hears from the network is made up."""

import re

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import errors
from huggingface_hub.utils._http import hf_raise_for_status

from cell_synergy import hub
from cell_synergy.core.errors import ConfigError, DataError

PAGE = "https://huggingface.co/lab/net"
COMMIT = "0123456789" * 4


@pytest.fixture(autouse=True)
def _nobody(monkeypatch, tmp_path):
    """No token, and a cache of its own."""
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_token")


def _answered(status, code="", message=""):
    """Return what the client makes of an answer of the hub."""
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
    ("answer", "message"),
    [
        ((401, "GatedRepo"), "is gated: accept its licence there, make a token .* HF_TOKEN, or .*"),
        ((401, "RepoNotFound"), "does not exist or is not public; check its name, or make a .*"),
        ((404, "RepoNotFound"), "check its name"),
        ((404, "RevisionNotFound"), "has no revision '0123.*/commits/main lists"),
        ((404, "EntryNotFound"), r"has no file 'weights\.bin' at revision 0123.*"),
        ((503,), r"the hub failed for .* \(.*503.*\); try again later"),
    ],
)
def test_what_the_hub_answers_without_a_token_is_one_sentence(monkeypatch, answer, message):
    _fails(monkeypatch, _answered(*answer))
    found = _message()
    assert re.search(message, found)
    assert PAGE in found
    assert "\n" not in found


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            (403, "GatedRepo"),
            f"^{PAGE} is gated and your account has no access: accept its licence",
        ),
        ((401, "", "Invalid credentials in Authorization header"), "does not accept your token"),
        ((401, "RepoNotFound"), "does not accept your token"),
        ((403,), f"your token may not read {PAGE}; let it read gated repositories at"),
    ],
)
def test_what_the_hub_answers_to_a_token_is_one_sentence(monkeypatch, answer, message):
    _fails(monkeypatch, _answered(*answer))
    found = _message()
    assert re.search(message, found)
    assert "\n" not in found


def test_without_network_it_says_so_and_how_to_do_without(monkeypatch):
    _fails(monkeypatch, httpx2.ConnectError("[Errno -2] Name or service not known"))
    assert re.fullmatch(
        rf"{PAGE} cannot be reached \(\[Errno -2\] Name or service not known\) and is not in the "
        r"hub's cache here; connect to the network, or .* set `weights` to its path",
        _message(),
    )


def test_the_clients_own_offline_switch_is_named(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids to fetch it; unset that" in _message()


def test_a_name_that_cannot_be_is_a_mistake_in_the_parameters():
    with pytest.raises(ConfigError, match=r"'a b' is no repository of the hub; write owner/name"):
        hub.fetch("a b", "weights.bin", COMMIT)


def test_a_full_disk_is_named(monkeypatch):
    _fails(monkeypatch, OSError(28, "No space left on device"))
    assert re.search("cannot be stored here .*No space.*set HF_HOME", _message())


def test_what_is_in_the_cache_needs_no_network_and_knows_its_commit(monkeypatch, tmp_path):
    _fails(monkeypatch, httpx2.ConnectError("no network"))
    folder = tmp_path / "cache/models--lab--net/snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"w")
    found = hub.fetch("lab/net", "weights.bin", COMMIT)
    assert found.read_bytes() == b"w"
    assert hub.commit(found) == COMMIT


@pytest.fixture
def repository(monkeypatch):
    """A hub that lists three files, and serves those that `held` names."""
    files = {"st/A.h5ad": b"12345", "st/B.h5ad": b"678", "wsis/A.tif": b"9"}
    held = dict(files)

    def tree(_, repo, **__):
        assert repo == "lab/data"
        for path, content in files.items():
            yield huggingface_hub.RepoFile(path=path, size=len(content), oid="0")
        yield huggingface_hub.RepoFolder(path="st", oid="1")

    def snapshot(_, local_dir, allow_patterns, **__):
        for path in allow_patterns:
            (local_dir / path).parent.mkdir(parents=True, exist_ok=True)
            (local_dir / path).write_bytes(held[path])
        (local_dir / ".cache/huggingface").mkdir(parents=True)

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_tree", tree)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    return held


def _many(folder, *patterns):
    return hub.fetch_many("lab/data", patterns, COMMIT, "dataset", folder)


@pytest.mark.usefixtures("repository")
def test_many_files_keep_their_paths_and_nothing_else_is_left(tmp_path):
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


def test_a_file_that_did_not_arrive_whole_is_named(repository, tmp_path):
    repository["st/B.h5ad"] = b"6"
    with pytest.raises(DataError, match=r"st/B\.h5ad: was not fetched whole; run the same again"):
        _many(tmp_path, "st/*")


def test_many_files_without_network(monkeypatch, tmp_path):
    def tree(*_, **__):
        raise httpx2.ConnectTimeout("timed out")

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_tree", tree)
    message = r"datasets/lab/data cannot be reached \(timed out\).*name their folder"
    with pytest.raises(DataError, match=message):
        _many(tmp_path, "st/*")
