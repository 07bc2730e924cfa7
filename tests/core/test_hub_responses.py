"""Responses of a local server in place of the hub: sign-in pages, proxies, damaged downloads."""

import errno
import hashlib
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import huggingface_hub
import pytest

from cell_synergy.core import hub
from cell_synergy.core.errors import DataError
from tests.core.test_hub import COMMIT, _anonymous, _many, _message

__all__ = ["_anonymous"]

SIGN_IN = b"<!doctype html><html><body>Sign in</body></html>"
SIGNED = {"X-Request-Id": "Root=1", "X-Repo-Commit": COMMIT}


@pytest.fixture
def site(monkeypatch):
    """Return a function that sets the response of a local server in place of the hub."""

    class Handler(BaseHTTPRequestHandler):
        answer: ClassVar[tuple[int, bytes, dict[str, str]]]

        def do_GET(self):
            status, body, headers = self.answer
            self.send_response(status)
            for name, text in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, text)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    def answer(status, body, **headers):
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        Handler.answer = status, body, named

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.file_download.constants.ENDPOINT", address)
        yield answer
        server.shutdown()
        thread.join()


def _messages(tmp_path):
    """Yield the messages of `fetch` and `fetch_many`."""
    yield _message()
    api = huggingface_hub.HfApi(endpoint=huggingface_hub.constants.ENDPOINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub, "HfApi", lambda: api)
        with pytest.raises(DataError) as raised:
            _many(tmp_path / "x", "*.bin")
    yield str(raised.value)


@pytest.mark.parametrize("logged_in", [False, True])
@pytest.mark.parametrize("status", [200, 401, 403, 404, 407, 451])
def test_a_response_of_a_proxy_or_sign_in_page_is_not_explained_by_token_or_name(
    site, status, logged_in, monkeypatch, tmp_path
):
    if logged_in:
        monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_token")
    site(status, SIGN_IN, Content_Type="text/html")
    for message in _messages(tmp_path):
        assert "cannot be fetched at revision" in message
        assert "run the same again when this is solved" in message
        assert "token" not in message
        assert "\n" not in message


def test_a_file_whose_checksum_is_not_the_hubs_is_refused(site):
    site(200, b"abc", ETag=f'"{"a" * 64}"', **SIGNED)
    for _ in range(2):  # the second time from the cache
        message = _message()
        assert "is damaged: its sha256 is ba7816bf8f01..., the hub's aaaaaaaaaaaa...;" in message
        assert re.search(r"remove \S+/blobs/a{64} and run the same again", message)


def test_a_complete_file_is_returned_with_its_commit(site):
    digest = hashlib.sha256(b"abc").hexdigest()
    site(200, b"abc", ETag=f'"{digest}"', **SIGNED)
    found = hub.fetch("lab/net", "weights.bin", "main")
    assert found.read_bytes() == b"abc"
    assert hub.commit_of(found) == COMMIT


def test_a_full_disk_during_the_download_is_named(site, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    site(200, b"abc", ETag='"abc"', **SIGNED)
    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    assert re.search(r"cannot be fetched .*\(.*No space left.*\); run the same again", _message())


def test_a_download_of_another_size_is_reported(site, monkeypatch):
    def short(*_, **__):
        raise OSError("Consistency check failed: file should be of size 9 but has size 3")

    site(200, b"abc", ETag='"abc"', **SIGNED)
    monkeypatch.setattr("huggingface_hub.file_download.http_get", short)
    assert re.search(r"cannot be fetched .*\(Consistency .*\); run the same again", _message())
