"""Traefik with a certificate of its own, in front of a server that is told so."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.clients.background import running
from tests.clients.browser import Browser
from tests.clients.nginx import Proxied
from tests.conftest import where


def static(server: Proxied, folder: Path) -> dict[str, object]:
    """Return what Traefik reads at its start."""
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {"websecure": {"address": f"127.0.0.1:{server.proxy_port}"}},
        "providers": {"file": {"filename": str(folder / "routes.yml")}},
    }


def routes(server: Proxied) -> dict[str, Any]:
    """Return where Traefik sends requests, with nothing said about headers: its defaults have to do."""
    router = {"rule": "PathPrefix(`/`)", "entryPoints": ["websecure"], "service": "registry", "tls": {}}
    service = {"loadBalancer": {"servers": [{"url": f"http://{server.host}"}]}}
    certificate = {"certFile": str(server.certificate), "keyFile": str(server.folder / "tls.key")}
    return {
        "http": {"routers": {"registry": router}, "services": {"registry": service}},
        "tls": {"certificates": [certificate], "stores": {"default": {"defaultCertificate": certificate}}},
    }


@contextmanager
def traefik(server: Proxied, folder: Path, dynamic: dict[str, Any] | None = None) -> Iterator[None]:
    """Run Traefik in front of `server`, with `routes` unless others are given."""
    (folder / "traefik.yml").write_text(yaml.safe_dump(static(server, folder)))
    (folder / "routes.yml").write_text(yaml.safe_dump(dynamic or routes(server)))

    def is_ready() -> bool:
        try:
            return Browser(f"https://{server.public_host}", server.tls).get("/health").status == 200
        except OSError:
            return False

    program = where("traefik")
    assert program is not None
    with running([program, f"--configFile={folder / 'traefik.yml'}"], folder, is_ready):
        yield
