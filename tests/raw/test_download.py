import csv
import errno
import gzip
import hashlib
import http.server
import io
import os
import threading
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import rdata

import cell_synergy.raw
from cell_synergy.core.errors import DataError
from cell_synergy.raw.download import download, read_manifest
from tests import broken

COUNTS = pd.DataFrame([[1, 2], [0, 5]], index=["9.1x8", "9x10"], columns=["Nop58", "Gm1"])

COUNTS_TEXT = b"\tNop58\tGm1\n9.1x8\t1\t2\n9x10\t0\t5\n"


def _sha(data):
    return hashlib.sha256(data).hexdigest()


class _Site:
    """A web server on this machine; it counts what is asked for."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.cut: set[str] = set()
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.requests.append(self.path)
                if self.path not in site.files:
                    self.send_error(404)
                    return
                data = site.files[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if self.path in site.cut else data)

            def log_message(self, *_):
                """Keep the tests' output clean."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def site(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    site = _Site()
    yield site
    site.stop()


@pytest.fixture
def publish(tmp_path, site):
    """Publish files and return a manifest; rows are (path, content, address, unpack)."""

    def _publish(*rows):
        manifest = tmp_path / "toy.csv"
        with manifest.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("path", "sha256", "url", "unpack"))
            for path, content, address, unpack in rows:
                table.writerow((path, _sha(content), site.url + address, unpack))
                if not unpack:
                    site.files.setdefault(address, content)
        return manifest

    return _publish


def _files(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_files_are_fetched_once_and_resumed(tmp_path, site, publish):
    manifest = publish(("a/1.tsv", b"one", "/1", ""), ("a/2.tsv", b"two", "/2", ""))
    out = tmp_path / "raw"
    download(manifest, out, None)
    assert (out / "a/1.tsv").read_bytes() == b"one"
    assert site.requests == ["/1", "/2"]
    (out / "a/2.tsv").unlink()
    download(manifest, out, None)
    assert site.requests == ["/1", "/2", "/2"]
    assert _files(out) == ["a/1.tsv", "a/2.tsv"]


def test_a_damaged_file_is_fetched_again(tmp_path, publish):
    manifest = publish(("1.tsv", b"one", "/1", ""))
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/1.tsv").write_bytes(b"on")
    download(manifest, tmp_path / "raw", None)
    assert (tmp_path / "raw/1.tsv").read_bytes() == b"one"


def test_a_wrong_checksum_is_refused_and_nothing_stays(tmp_path, site, publish):
    manifest = publish(("1.tsv", b"one", "/1", ""), ("2.tsv", b"two", "/2", ""))
    site.files["/2"] = b"not two"
    with pytest.raises(DataError, match=r"2\.tsv: wrong checksum from http.*/2.*run again"):
        download(manifest, tmp_path / "raw", None)
    assert _files(tmp_path / "raw") == ["1.tsv"]
    site.files["/2"] = b"two"
    download(manifest, tmp_path / "raw", None)
    assert site.requests == ["/1", "/2", "/2"]


def test_a_connection_that_breaks_leaves_no_partial_file(tmp_path, site, publish):
    manifest = publish(("1.tsv", b"x" * 100_000, "/1", ""))
    site.cut.add("/1")
    with pytest.raises(DataError, match=r"1\.tsv"):
        download(manifest, tmp_path / "raw", None)
    assert _files(tmp_path / "raw") == []


def test_an_address_that_is_gone_is_named_with_the_remedy(tmp_path, site, publish):
    manifest = publish(("1.tsv", b"one", "/1", ""))
    del site.files["/1"]
    with pytest.raises(DataError, match=r"1\.tsv: .*/1 \(HTTP 404\).*CELL_SYNERGY_MIRROR"):
        download(manifest, tmp_path / "raw", None)


def test_without_network_and_mirror_one_sentence_names_file_and_variable(tmp_path, site, publish):
    manifest = publish(("1.tsv", b"one", "/1", ""))
    site.stop()
    with pytest.raises(DataError) as caught:
        download(manifest, tmp_path / "raw", None)
    message = str(caught.value)
    assert message.startswith("1.tsv: cannot be fetched from http")
    assert "(ConnectionError)" in message
    assert "CELL_SYNERGY_MIRROR" in message
    assert "\n" not in message


def test_the_mirror_comes_first_and_its_files_are_copied(tmp_path, site, publish):
    manifest = publish(("a/1.tsv", b"one", "/1", ""), ("2.tsv", b"two", "/2", ""))
    held = tmp_path / "mirror/toy/a/1.tsv"
    held.parent.mkdir(parents=True)
    held.write_bytes(b"one")
    download(manifest, tmp_path / "raw", tmp_path / "mirror")
    assert site.requests == ["/2"]
    got = tmp_path / "raw/a/1.tsv"
    assert not got.is_symlink()
    os.truncate(got, 0)
    assert held.read_bytes() == b"one"


def test_a_wrong_file_in_the_mirror_is_refused(tmp_path, site, publish):
    manifest = publish(("1.tsv", b"one", "/1", ""))
    (tmp_path / "mirror/toy").mkdir(parents=True)
    (tmp_path / "mirror/toy/1.tsv").write_bytes(b"won")
    with pytest.raises(DataError, match=r"wrong checksum from .*mirror/toy/1\.tsv.*replace it"):
        download(manifest, tmp_path / "raw", tmp_path / "mirror")
    assert _files(tmp_path / "raw") == []
    assert site.requests == []


def test_a_container_is_fetched_once_for_all_its_members(tmp_path, site, publish):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("major/A.tsv", b"a")
        archive.writestr("major/B.tsv", b"b")
    site.files["/major.zip"] = packed.getvalue()
    manifest = publish(
        ("A.tsv", b"a", "/major.zip", "zip:major/A.tsv"),
        ("B.tsv", b"b", "/major.zip", "zip:major/B.tsv"),
    )
    download(manifest, tmp_path / "raw", None)
    assert site.requests == ["/major.zip"]
    assert _files(tmp_path / "raw") == ["A.tsv", "B.tsv"]
    download(manifest, tmp_path / "raw", None)
    assert site.requests == ["/major.zip"]


def test_r_data_is_rewritten_and_a_wrong_count_in_it_refused(tmp_path, site, publish):
    manifest = publish(("Rep1.tsv.gz", COUNTS_TEXT, "/MOB.RData", "rdata:MOB1"))
    for table, good in ((COUNTS.T + 1, False), (COUNTS.T, True)):
        rdata.write_rda(tmp_path / "MOB.RData", {"MOB1": table})
        site.files["/MOB.RData"] = (tmp_path / "MOB.RData").read_bytes()
        if good:
            download(manifest, tmp_path / "raw", None)
        else:
            with pytest.raises(DataError, match=r"Rep1.tsv.gz: wrong checksum"):
                download(manifest, tmp_path / "raw", None)
    assert gzip.decompress((tmp_path / "raw/Rep1.tsv.gz").read_bytes()) == COUNTS_TEXT


def test_a_rewritten_file_of_the_mirror_is_checked_by_its_text(tmp_path, publish):
    manifest = publish(("Rep1.tsv.gz", COUNTS_TEXT, "/MOB.RData", "rdata:MOB1"))
    held = tmp_path / "mirror/toy/Rep1.tsv.gz"
    held.parent.mkdir(parents=True)
    held.write_bytes(gzip.compress(COUNTS_TEXT, 1))
    download(manifest, tmp_path / "raw", tmp_path / "mirror")
    assert (tmp_path / "raw/Rep1.tsv.gz").read_bytes() == held.read_bytes()
    (tmp_path / "raw/Rep1.tsv.gz").unlink()
    held.write_bytes(gzip.compress(COUNTS_TEXT.replace(b"5", b"6")))
    with pytest.raises(DataError, match="wrong checksum"):
        download(manifest, tmp_path / "raw", tmp_path / "mirror")


@pytest.mark.realdata
@pytest.mark.parametrize("dataset", ["her2st", "mob"])
def test_the_mirror_of_real_tissue_is_what_the_manifest_says(tmp_path, dataset):
    mirror = os.environ.get("CELL_SYNERGY_MIRROR")
    if not mirror:
        pytest.skip("CELL_SYNERGY_MIRROR names no folder of real tissue")
    folder = Path(next(iter(cell_synergy.raw.__path__))) / "manifests"
    download(folder / f"{dataset}.csv", tmp_path, Path(mirror))
    entries = read_manifest(folder / f"{dataset}.csv")
    assert _files(tmp_path) == sorted(entry.path for entry in entries)


@broken.each(broken.COMMON)
@pytest.mark.parametrize("mirrored", [True, False])
def test_a_pointer_or_a_web_page_is_told_for_what_it_is(
    tmp_path, site, publish, given, said, mirrored
):
    manifest = publish(("1.tsv", b"one", "/1", ""))
    if mirrored:
        (tmp_path / "mirror/toy").mkdir(parents=True)
        (tmp_path / "mirror/toy/1.tsv").write_bytes(given)
    site.files["/1"] = given
    with pytest.raises(DataError, match=rf"1\.tsv: what .*/(toy/1\.tsv|1) gives {said}") as raised:
        download(manifest, tmp_path / "raw", tmp_path / "mirror" if mirrored else None)
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "raw").rglob("*.tsv"))


def test_a_full_disk_is_not_called_a_network(tmp_path, publish, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", full)
    manifest = publish(("1.tsv", b"one", "/1", ""))
    with pytest.raises(DataError, match=r"1\.tsv: cannot be stored here \(No space left on"):
        download(manifest, tmp_path / "raw", None)
