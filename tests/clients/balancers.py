"""nginx and HAProxy in front of two replicas, with the configurations of docs/scaling.md."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.clients.background import running
from tests.clients.browser import Browser
from tests.clients.cluster import Replica
from tests.clients.nginx import configuration, running_nginx
from tests.documents import block

DOCUMENTED = ("10.0.0.11:5000", "10.0.0.12:5000")


@contextmanager
def nginx_balancer(port: int, replicas: Sequence[Replica], folder: Path) -> Iterator[None]:
    """Run nginx at a port, with the `server` of docs/deployment.md."""
    first = replicas[0]
    upstream = at(replicas, block("docs/scaling.md", "nginx: upstream"))
    text = configuration(first, folder, upstream, "").replace(f":{first.proxy_port} ssl", f":{port} ssl")
    line = f"        proxy_pass http://{first.host};\n"
    with running_nginx(replaced(text, line, block("docs/scaling.md", "nginx: location")), folder):
        yield


@contextmanager
def haproxy_balancer(port: int, replicas: Sequence[Replica], folder: Path) -> Iterator[None]:
    """Run HAProxy at a port, with everything but the backend as in docs/security.md."""
    first, pem = replicas[0], folder / "registry.pem"
    pem.write_text(first.certificate.read_text() + (first.folder / "tls.key").read_text())
    text = block("docs/security.md", "haproxy")
    text = replaced(text, "bind :443", f"bind 127.0.0.1:{port}")
    text = replaced(text, "/etc/haproxy/registry.pem", str(pem))
    text = replaced(text, "    user haproxy\n    group haproxy\n", "")
    backend = "backend registry\n    server registry 127.0.0.1:5000\n"
    text = replaced(text, backend, at(replicas, block("docs/scaling.md", "haproxy: backend")))
    (folder / "haproxy.cfg").write_text(text)

    def is_ready() -> bool:
        try:
            return Browser(f"https://localhost:{port}", first.tls).get("/health").status == 200
        except OSError:
            return False

    with running(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")], folder, is_ready):
        yield


def at(replicas: Sequence[Replica], text: str) -> str:
    """Return a documented configuration with the addresses of the replicas."""
    for address, replica in zip(DOCUMENTED, replicas, strict=True):
        text = replaced(text, address, replica.host)
    return text


def replaced(text: str, old: str, new: str) -> str:
    """Return `text` with its one `old` replaced."""
    assert text.count(old) == 1, old
    return text.replace(old, new)
