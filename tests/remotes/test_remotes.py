import hashlib
import re
import socketserver
import threading

import pytest

from tests.remotes.conftest import free_port, needs
from tests.remotes.sites import Remote, at, is_good, kill_when

pytestmark = pytest.mark.slow


def oid_of(file):
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def flipped(content):
    return bytes([content[0] ^ 1]) + content[1:]


def halved(content):
    return content[: len(content) // 2]


def harmless(remote):
    """Return whether all objects of a remote are what they are named."""
    return all(is_good(name, remote.read(name)) for name in remote.names())


def test_another_site_pulls_and_executes_nothing(sites, remote):
    a, b = sites
    a.dvc("push")
    assert remote.names() == a.names()
    assert harmless(remote)
    b.dvc("pull")
    b.dvc("repro")
    assert b.ran() == []
    assert b.results() == a.results()
    b.git("diff", "--exit-code")


def test_the_run_cache_spares_another_site_what_was_never_committed(sites):
    a, b = sites
    for each in sites:
        each.choose(expert="large")
    a.dvc("repro")
    a.dvc("push", "--run-cache")
    b.dvc("repro", "--pull")
    assert b.ran() == []
    assert b.results() == a.results()
    assert (b.path / "dvc.lock").read_bytes() == (a.path / "dvc.lock").read_bytes()


def test_a_killed_push_is_resumed(sites, remote):
    a, b = sites
    kill_when(a.start("push", "--jobs", "2"), remote.names)
    assert 0 < len(remote.names()) < len(a.names())
    assert harmless(remote)
    a.dvc("push")
    assert remote.names() == a.names()
    assert harmless(remote)
    b.dvc("pull")
    assert b.results() == a.results()


def test_a_killed_pull_is_resumed(sites):
    a, b = sites
    a.dvc("push")
    kill_when(b.start("pull", "--jobs", "2"), lambda: len(b.names()) > 1)
    assert b.names() < a.names()
    b.dvc("pull")
    assert b.names() == a.names()
    assert b.results() == a.results()


@pytest.mark.parametrize(
    ("what", "harm"), [("embeddings/7", flipped), ("weights", halved), ("embeddings/7", None)]
)
def test_a_damaged_object_on_the_remote_is_named_and_replaced(sites, remote, what, harm):
    a, b = sites
    a.dvc("push")
    oid = oid_of(a.path / what)
    if harm:
        remote.write(oid, harm(remote.read(oid)))
    else:
        remote.remove(oid)
    code, said = b.attempt("pull", "-v")
    assert code != 0
    if harm:
        assert f"Checkout failed for following targets:\n{what.partition('/')[0]}\n" in said
        assert re.search(f"corrupted cache file '.*{oid[:2]}/{oid[2:]}'", said)
    else:
        assert f"ERROR: failed to transfer '{oid}'" in said
    assert b.names() <= a.names() - {oid}
    mend(a, remote, oid)
    b.dvc("pull")
    assert b.results() == a.results()


def mend(site, remote, oid):
    """Do as docs/cluster.md says: remove the object, and the lists of folders, then push."""
    gone = {name for name in remote.names() if name == oid or name.endswith(".dir")}
    for name in gone:
        remote.remove(name)
    site.dvc("push")
    assert remote.names() == site.names()
    assert harmless(remote)


@pytest.mark.parametrize("command", ["push", "pull"])
@pytest.mark.parametrize("kind", ["s3", "ssh"])
def test_a_server_that_is_down_is_named(site, kind, command):
    needs(f"dvc_{kind}")
    there, port = site("a" if command == "push" else "b"), free_port()
    s3 = at(f"http://127.0.0.1:{port}") if kind == "s3" else {}
    Remote(f"{kind}://127.0.0.1:{port}/dvc", **s3).add(there)
    code, said = there.attempt(command)
    assert code != 0
    assert re.search(rf"ERROR: .*127\.0\.0\.1\D+{port}\b", said), said


@pytest.fixture
def closing_server():
    """Run a server that closes each connection at once; `connections` counts them."""

    class Server(socketserver.ThreadingTCPServer):
        connections = 0

        def process_request(self, request, client_address):  # noqa: ARG002
            self.connections += 1
            self.shutdown_request(request)

    with Server(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_server_that_closes_connections_is_not_tried_again_and_again(site, closing_server):
    there, port = site("a"), closing_server.server_address[1]
    Remote(f"s3://127.0.0.1:{port}/dvc", **at(f"http://127.0.0.1:{port}")).add(there)
    code, said = there.attempt("push")
    assert code != 0
    assert f"127.0.0.1:{port}" in said
    # Ten requests, three attempts each; with botocore's default, five attempts each.
    assert 0 < closing_server.connections <= 30
