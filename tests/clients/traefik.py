"""Traefik with a certificate of its own, in front of a server that is told so."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from registry_project import BASE_DIR
from tests.clients.background import running
from tests.clients.browser import Browser
from tests.clients.nginx import Proxied
from tests.conftest import where


def static(server: Proxied, folder: Path) -> dict[str, object]:
    """Return what Traefik reads at its start."""
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {
            "websecure": {
                "address": f"127.0.0.1:{server.proxy_port}",
                # As in docker-compose.traefik.yml, but for the provider: there is no docker here to read labels from.
                "http": {"middlewares": ["unforwarded@file"]},
            }
        },
        "providers": {"file": {"filename": str(folder / "routes.yml")}},
    }


def routes(server: Proxied) -> dict[str, Any]:
    """Return where Traefik sends requests; of headers it is told what docker-compose.traefik.yml says."""
    router = {"rule": "PathPrefix(`/`)", "entryPoints": ["websecure"], "service": "registry", "tls": {}}
    compose = yaml.safe_load((BASE_DIR / "docker-compose.traefik.yml").read_text())["services"]
    assert "--entryPoints.websecure.http.middlewares=unforwarded@docker" in compose["traefik"]["command"]
    begin = "traefik.http.middlewares.unforwarded.headers.customRequestHeaders."
    labels = [label.removeprefix(begin) for label in compose["registry"]["labels"] if label.startswith(begin)]
    service = {"loadBalancer": {"servers": [{"url": f"http://{server.host}"}]}}
    certificate = {"certFile": str(server.certificate), "keyFile": str(server.folder / "tls.key")}
    return {
        "http": {
            "routers": {"registry": router},
            "services": {"registry": service},
            "middlewares": {
                "unforwarded": {"headers": {"customRequestHeaders": dict(label.split("=") for label in labels)}}
            },
        },
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
