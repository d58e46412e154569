"""The limits of docs/security.md in each of the proxies: what is within them passes, what is beyond is refused.

The numbers are smaller than those of the document; all else is as it stands there.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clients.background import running
from tests.clients.browser import Browser
from tests.clients.layouts import image
from tests.clients.nginx import Proxied, nginx, proxied_server
from tests.clients.program import Program, login_file
from tests.clients.traefik import routes, traefik
from tests.documents import block
from tests.project.talk import until

pytestmark = pytest.mark.client("nginx", "traefik", "haproxy", "openssl", "skopeo")

AT_ONCE = 12
LOGINS = 20


def documented(mark: str) -> str:
    """Return a block of the document with the numbers of these tests."""
    return block("docs/security.md", mark).replace("128", str(AT_ONCE)).replace("300", str(LOGINS))


def limited_nginx(server: Proxied, folder: Path) -> AbstractContextManager[object]:
    """Run nginx."""
    return nginx(server, folder, documented("nginx: http"), documented("nginx: server"))


def limited_traefik(server: Proxied, folder: Path) -> AbstractContextManager[object]:
    """Run Traefik, with the labels written into a file: there is no docker here to read them from."""
    dynamic = routes(server)
    for label in yaml.safe_load(documented("traefik"))["labels"]:
        name, _, value = label.replace("registry.example.com", "localhost").partition("=")
        *path, last = name.removeprefix("traefik.").split(".")
        place: dict[str, Any] = dynamic
        for key in path:
            place = place.setdefault(key, {})
        place[last] = value.split(",") if last in {"middlewares", "entryPoints"} else yaml.safe_load(value)
    dynamic["http"]["routers"]["logins"]["tls"] = {}
    return traefik(server, folder, dynamic)


@contextmanager
def limited_haproxy(server: Proxied, folder: Path) -> Iterator[None]:
    """Run HAProxy."""
    pem = folder / "registry.pem"
    pem.write_text(server.certificate.read_text() + (server.folder / "tls.key").read_text())
    changed = {
        "bind :443": f"bind 127.0.0.1:{server.proxy_port}",
        "/etc/haproxy/registry.pem": str(pem),
        "127.0.0.1:5000": server.host,
        "    user haproxy\n    group haproxy\n": "",
    }
    text = documented("haproxy")
    for old, new in changed.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "haproxy.cfg").write_text(text)

    def is_ready() -> bool:
        try:
            return Browser(f"https://{server.public_host}", server.tls).get("/health").status == 200
        except OSError:
            return False

    with running(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")], folder, is_ready):
        yield


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """Run a registry that expects a proxy in front."""
    with proxied_server(tmp_path_factory.mktemp("proxied")) as server:
        yield server


@pytest.fixture(params=[limited_nginx, limited_traefik, limited_haproxy])
def proxied(request: pytest.FixtureRequest, registry: Proxied, tmp_path: Path) -> Iterator[Proxied]:
    """Run a proxy in front of the registry, which has counted nothing yet."""
    run: Callable[[Proxied, Path], AbstractContextManager[object]] = request.param
    with run(registry, tmp_path):
        yield registry


def test_a_push_and_a_pull_are_within_them(proxied: Proxied, tmp_path: Path) -> None:
    settings = {"REGISTRY_AUTH_FILE": str(login_file(tmp_path)), "SSL_CERT_FILE": str(proxied.certificate)}
    alice = Program(("skopeo", "--insecure-policy"), proxied.public_host, settings)
    alice.log_in("alice")
    source = image(tmp_path / "image")

    alice.run("copy", "--preserve-digests", source.reference("v1"), alice.docker("alice/limited:v1"))
    alice.run("copy", "--preserve-digests", alice.docker("alice/limited:v1"), f"oci:{tmp_path}/pulled:v1")

    pulled = {f"sha256:{file.name}": file.read_bytes() for file in tmp_path.glob("pulled/blobs/sha256/*")}
    assert pulled == source.blobs()


def test_logins_beyond_them_are_429(proxied: Proxied) -> None:
    browser = Browser(f"https://{proxied.public_host}", proxied.tls)

    statuses = [browser.get("/v2/token?service=Docker%20Registry").status for _ in range(LOGINS + 5)]

    assert statuses[:LOGINS] == [200] * LOGINS
    assert statuses[-1] == 429
    assert browser.get("/v2/").status == 401


# A connection that the proxy closes: urllib leaves its socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_more_requests_at_once_are_refused(proxied: Proxied) -> None:
    token = proxied.token("alice", "repository:alice/app:pull,push")
    lines = [f"Host: {proxied.public_host}", f"Authorization: Bearer {token}", "Content-Length: 9"]
    head = "\r\n".join(["PUT /v2/alice/app/manifests/v1 HTTP/1.1", *lines, "", ""])
    with ExitStack() as stack:

        def is_crowded() -> bool:
            """Send one more request that never ends; return whether the proxy refuses a further client."""
            client = stack.enter_context(proxied.tls.wrap_socket(socket.socket(), server_hostname="localhost"))
            with suppress(OSError):
                client.connect(("127.0.0.1", proxied.proxy_port))
                client.sendall(head.encode())
            return is_refused(proxied)

        assert [is_crowded() for _ in range(AT_ONCE // 2)] == [False] * (AT_ONCE // 2)
        until(is_crowded)

    until(lambda: not is_refused(proxied))


def is_refused(proxied: Proxied) -> bool:
    """Return whether the proxy turns a further client away, by a status or by closing the connection."""
    try:
        return Browser(f"https://{proxied.public_host}", proxied.tls).get("/v2/").status == 429
    except OSError:
        return True
