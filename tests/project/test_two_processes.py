"""What one process changes, another sees at its next request: two servers of one process each share everything.

Each process has answered the same request before, so what it remembers is what is tested.
"""

import json
import secrets
import sys
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

import bcrypt
import pytest

from tests import preloaded
from tests.clients.server import ROOT, RULES, Server, basic, password_of
from tests.databases import drop_database
from tests.images import digest_of, manifest
from tests.project.talk import Talk

# Each loses something in one of the tests.
LOSERS = ("dave", "erin", "frank")
MANIFEST_TYPE = "Content-Type: application/vnd.oci.image.manifest.v1+json"


class Twin(Server):
    """A server of one process; beside `other`, on all that it has."""

    def __init__(self, folder: Path, other: Server | None = None) -> None:
        super().__init__(folder)
        if other is not None:
            drop_database(self.database_url)
            self.database_url, self.data = other.database_url, other.data

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says: the cast, and those who lose something."""
        said = super().configuration()
        hashed = {name: bcrypt.hashpw(password_of(name).encode(), bcrypt.gensalt(4)).decode() for name in LOSERS}
        users = {name: {"password": password} for name, password in hashed.items()}
        rules = [{"account": name, "name": "alice/*", "actions": ["pull"]} for name in LOSERS]
        assert isinstance(said["users"], dict)
        return said | {
            "server": {"addr": self.host, "workers": 1},
            "users": said["users"] | users,
            "acl": [*RULES, *rules],
        }


@dataclass(frozen=True, slots=True)
class Twins:
    """Two servers on one database and one storage."""

    one: Twin
    other: Twin


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    """Run two servers."""
    one = Twin(tmp_path_factory.mktemp("one"))
    other = Twin(tmp_path_factory.mktemp("other"), one)
    try:
        one.start()
        other.start()
        yield Twins(one, other)
    finally:
        other.end()
        one.stop()


def ask(server: Server, method: str, path: str, authorization: str, *lines: str, body: bytes = b"") -> HTTPResponse:
    """Send a request and return its answer."""
    with Talk(server) as talk:
        length = f"Content-Length: {len(body)}"
        return talk.ask(method, path, f"Authorization: {authorization}", length, *lines, body=body)


def bearer(server: Server, account: str, actions: str = "pull,push,delete") -> str:
    """Return the credentials of `account` for alice/app."""
    return f"Bearer {server.token(account, f'repository:alice/app:{actions}')}"


def push_blob(server: Server, content: bytes) -> str:
    """Push a blob to alice/app and return its digest."""
    digest, alice = digest_of(content), bearer(server, "alice")
    assert ask(server, "POST", f"/v2/alice/app/blobs/uploads/?digest={digest}", alice, body=content).status == 201
    return digest


def push_image(server: Server, tag: str) -> str:
    """Push an image like no other to alice/app and return the path of its manifest by digest."""
    config, layer = secrets.token_bytes(8), secrets.token_bytes(8)
    for content in (config, layer):
        push_blob(server, content)
    payload, alice = manifest(config, layer), bearer(server, "alice")
    answer = ask(server, "PUT", f"/v2/alice/app/manifests/{tag}", alice, MANIFEST_TYPE, body=payload)
    assert answer.status == 201
    return f"/v2/alice/app/manifests/{digest_of(payload)}"


def kid(token: str) -> str:
    """Return the name of the key that signed a token."""
    head = token.partition(".")[0]
    named: str = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
    return named


def test_a_rule_that_is_removed(twins: Twins) -> None:
    path, dave = push_image(twins.one, "rule"), bearer(twins.one, "dave", "pull")
    assert ask(twins.other, "GET", path, dave).status == 200

    twins.one.execute("DELETE FROM acl_rule WHERE subject = 'dave'")

    assert ask(twins.other, "GET", path, dave).status == 401


def test_an_account_that_is_disabled(twins: Twins) -> None:
    path, erin = push_image(twins.one, "account"), bearer(twins.one, "erin", "pull")
    assert ask(twins.other, "GET", path, erin).status == 200

    twins.one.execute("UPDATE accounts_account SET is_active = NOT is_active WHERE name = 'erin'")

    assert ask(twins.other, "GET", path, erin).status == 401


def test_a_password_that_is_changed(twins: Twins) -> None:
    assert ask(twins.other, "GET", "/v2/token", basic("frank")).status == 200

    twins.one.execute(
        "UPDATE accounts_account SET password = (SELECT password FROM accounts_account WHERE name = 'bob') "
        "WHERE name = 'frank'"
    )

    assert ask(twins.other, "GET", "/v2/token", basic("frank")).status == 401


def test_a_tag_that_is_moved(twins: Twins) -> None:
    first, alice = push_image(twins.one, "moved"), bearer(twins.one, "alice")
    tag = "/v2/alice/app/manifests/moved"
    assert ask(twins.other, "GET", tag, alice).headers["Docker-Content-Digest"] in first

    second = push_image(twins.one, "moved")

    assert ask(twins.other, "GET", tag, alice).headers["Docker-Content-Digest"] in second


def test_a_tag_that_is_deleted(twins: Twins) -> None:
    push_image(twins.one, "deleted")
    tag, alice = "/v2/alice/app/manifests/deleted", bearer(twins.one, "alice")
    assert ask(twins.other, "GET", tag, alice).status == 200

    assert ask(twins.one, "DELETE", tag, alice).status == 202

    assert ask(twins.other, "GET", tag, alice).status == 404


def test_a_manifest_that_is_deleted(twins: Twins) -> None:
    path, alice = push_image(twins.one, "manifest"), bearer(twins.one, "alice")
    assert ask(twins.other, "GET", path, alice).status == 200

    assert ask(twins.one, "DELETE", path, alice).status == 202

    assert ask(twins.other, "GET", path, alice).status == 404


def test_a_blob_that_is_deleted(twins: Twins) -> None:
    path = f"/v2/alice/app/blobs/{push_blob(twins.one, secrets.token_bytes(8))}"
    alice = bearer(twins.one, "alice")
    assert ask(twins.other, "GET", path, alice).status == 200

    assert ask(twins.one, "DELETE", path, alice).status == 202

    assert ask(twins.other, "GET", path, alice).status == 404


def test_a_key_that_is_rotated(twins: Twins) -> None:
    before = twins.other.token("alice")

    command = [sys.executable, str(ROOT / "manage.py"), "rotatekey"]
    preloaded.run(command, env=twins.one.environment(), check=True, timeout=60)

    signed = [twin.token("bob") for twin in (twins.one, twins.other)]
    assert kid(signed[0]) == kid(signed[1]) != kid(before)
    assert [ask(twins.other, "GET", "/v2/", f"Bearer {token}").status for token in (*signed, before)] == [200] * 3
