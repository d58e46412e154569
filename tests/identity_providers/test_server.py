"""A server with a directory: its workers look accounts up again, and a silent directory blocks no pull."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.server import Server, basic, started
from tests.identity_providers.slapd import ADMIN, ADMIN_PASSWORD, GROUPS, PEOPLE, Slapd, add_group, group, person
from tests.ports import free_port

pytestmark = pytest.mark.client("slapd")


class CompanyServer(Server):
    """A server with one worker, whose directory is at `url`."""

    url = ""

    def configuration(self) -> dict[str, object]:
        configuration: Any = super().configuration()
        configuration["server"]["workers"] = 1
        configuration["acl"].append({"group": "registry-new", "name": "team/*", "actions": ["pull"]})
        configuration["auth"] = configuration.get("auth", {}) | {
            "ldap": {
                "url": self.url,
                "bind_dn": ADMIN,
                "bind_password": ADMIN_PASSWORD,
                "users": {"base": PEOPLE},
                "groups": {"base": GROUPS, "mirror": ["registry-*"]},
                "cache": "2s",
                "timeout": "2s",
            }
        }
        return configuration


@pytest.fixture
def server(tmp_path: Path, slapd: Slapd) -> Iterator[CompanyServer]:
    company = CompanyServer(tmp_path)
    company.url = slapd.url
    with started(company) as running:
        yield running


def actions(server: Server, authorization: str) -> list[str]:
    """Return what a token for team/app allows."""
    import jwt

    path = "/v2/token?service=Docker+Registry&scope=repository:team/app:pull"
    answer = server.ask("GET", path, headers={"Authorization": authorization})
    if answer.status != 200:
        return [str(answer.status)]
    import json

    claims = jwt.decode(json.loads(answer.body)["token"], options={"verify_signature": False})
    return [action for entry in claims["access"] for action in entry["actions"]]
