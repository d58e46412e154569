"""nginx with the configuration of docs/deployment.md, in front of a server that is told so."""

import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.clients.server import Server, started
from tests.documents import block
from tests.ports import free_port

PATIENCE_SECONDS = 120

HTTP = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""


class Proxied(Server):
    """A server whose users come through `https://localhost:<proxy_port>`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.proxy_port = free_port()
        self.public_host = f"localhost:{self.proxy_port}"
        self.certificate = folder / "ca.crt"

    def configuration(self) -> dict[str, object]:
        """Return the configuration with the two keys that docs/deployment.md asks for."""
        proxy = {"public_url": f"https://{self.public_host}", "trusted_proxies": ["127.0.0.1"]}
        return super().configuration() | {"server": {"addr": self.host} | proxy}

    @property
    def tls(self) -> ssl.SSLContext:
        """What trusts the certificate of the proxy."""
        return ssl.create_default_context(cafile=str(self.certificate))


@contextmanager
def proxied_server(folder: Path, kind: type[Proxied] = Proxied) -> Iterator[Proxied]:
    """Run a server that expects a proxy in front, with a certificate for it."""
    server = kind(folder)
    make_certificate(folder)
    with started(server):
        yield server


def make_certificate(folder: Path) -> None:
    """Make `ca.crt` and `tls.key` for localhost, signed by itself."""
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "tls.key"), "-out", str(folder / "ca.crt")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(command, check=True, capture_output=True)


def configuration(server: Proxied, folder: Path, before: str, within: str) -> str:
    """Return the server block of the document with the ports and files of this test, and what nginx needs around it.

    `before` and `within` are more lines before and in that block.
    """
    changed = {
        "listen 443 ssl": f"listen 127.0.0.1:{server.proxy_port} ssl",
        "server_name registry.example.com": "server_name localhost",
        "/etc/ssl/certs/registry.pem": str(server.certificate),
        "/etc/ssl/private/registry.key": str(server.folder / "tls.key"),
        "http://127.0.0.1:5000": f"http://{server.host}",
    }
    site = block("docs/deployment.md", "nginx")
    for old, new in changed.items():
        assert site.count(old) == 1, old
        site = site.replace(old, new)
    begin = "    client_max_body_size 0;\n"
    return HTTP.format(folder=folder, server=before + site.replace(begin, begin + within))


def nginx(server: Proxied, folder: Path, before: str = "", within: str = "") -> AbstractContextManager[Path]:
    """Run nginx in front of `server`, and return its error log."""
    return running_nginx(configuration(server, folder, before, within), folder)


@contextmanager
def running_nginx(text: str, folder: Path) -> Iterator[Path]:
    """Run nginx with a configuration, and yield its error log."""
    (folder / "nginx.conf").write_text(text)
    process = subprocess.Popen(
        ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    )
    try:
        _wait_for(process, folder)
        yield folder / "error.log"
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _wait_for(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if (folder / "nginx.pid").exists():
            return
        time.sleep(0.05)
    raise AssertionError((folder / "error.log").read_text())
