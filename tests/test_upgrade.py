"""This version serves the data folder that an earlier one left.

`fixtures/upgrade/2dc1c94.tar.xz` was made by the server of that commit, before the packages were moved and columns
renamed: its configuration, database, objects and throw-away keys, and in `known.json` what clients knew. All that is
missing is the file that keeps room for the database, which would not compress. Do not make it anew.
"""

import http.client
import json
import os
import sqlite3
import tarfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from distribution.protocol import spec
from tests.clients.server import ROOT
from tests.images import digest_of, manifest
from tests.project.starting import Finished, Running, manage, serving

APP = "alice/app"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A server of this version in the folder of an earlier one."""

    folder: Path
    server: Running
    known: dict[str, Any]

    def ask(
        self, method: str, path: str, authorization: str, body: bytes | None = None, media_type: str = spec.OCI_MANIFEST
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send a request and return its status, headers and body."""
        headers = {"Authorization": authorization, "Accept": media_type, "Content-Type": media_type}
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def token(self, account: str, repository: str = APP) -> str:
        """Log in, and return the Authorization header for a repository."""
        credentials = b64encode(f"{account}:{self.known['passwords'][account]}".encode()).decode()
        query = urlencode({"service": "Docker Registry", "scope": f"repository:{repository}:pull,push"})
        status, _, body = self.ask("GET", f"/v2/token?{query}", f"Basic {credentials}")
        assert status == 200, body
        return f"Bearer {json.loads(body)['token']}"

    def pulls(self, image: dict[str, Any], reference: str, token: str) -> bool:
        """Tell whether the manifest at `reference`, the configuration and every layer are there, bit for bit."""
        _, _, payload = self.ask("GET", f"/v2/{APP}/manifests/{reference}", token)
        digests = [image["config"], *image["layers"]]
        blobs = [self.ask("GET", f"/v2/{APP}/blobs/{digest}", token)[2] for digest in digests]
        return [digest_of(content) for content in (payload, *blobs)] == [image["digest"], *digests]

    def manage(self, *words: str) -> Finished:
        """Run `manage.py`, which has to end well."""
        done = manage(self.folder, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done


def unpack(folder: Path) -> dict[str, Any]:
    """Unpack the data folder as if it had been left a minute ago, and return what clients knew.

    Otherwise uploads and refresh tokens expire with the age of the fixture.
    """
    with tarfile.open(ROOT / "fixtures" / "upgrade" / "2dc1c94.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    known: dict[str, Any] = json.loads((folder / "known.json").read_text())
    # `made_at` is some seconds before the last rows: nothing may be of the future.
    age = time.time() - 60 - known["made_at"]
    for path in folder.rglob("*"):
        os.utime(path, (known["made_at"] + age,) * 2)
    with closing(sqlite3.connect(folder / "data" / "registry.sqlite3")) as database, database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = database.execute(f'PRAGMA table_info("{table}")').fetchall()
            for _, column, kind, *_ in columns:
                if kind == "datetime":
                    moved = f"strftime('%Y-%m-%d %H:%M:%f', \"{column}\", '{age:+.3f} seconds')"
                    database.execute(f'UPDATE "{table}" SET "{column}" = {moved}')
    return known


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """Serve in the unpacked folder."""
    folder = tmp_path_factory.mktemp("upgraded")
    known = unpack(folder)
    with serving(folder) as server:
        yield Upgraded(folder, server, known)


def test_an_image_is_pulled_by_tag_and_by_digest(upgraded: Upgraded) -> None:
    alice = upgraded.token("alice")
    tagged, untagged = upgraded.known["tagged"], upgraded.known["untagged"]

    assert upgraded.pulls(tagged, "v1", alice)
    assert upgraded.pulls(untagged, untagged["digest"], alice)


def test_the_referrer_of_an_image_is_listed(upgraded: Upgraded) -> None:
    path = f"/v2/{APP}/referrers/{upgraded.known['tagged']['digest']}"

    _, _, body = upgraded.ask("GET", path, upgraded.token("alice"))

    assert [found["digest"] for found in json.loads(body)["manifests"]] == [upgraded.known["referrer"]]


def test_accounts_of_the_file_and_of_the_admin_log_in(upgraded: Upgraded) -> None:
    tokens = [upgraded.token(account) for account in upgraded.known["passwords"]]

    statuses = [upgraded.ask("GET", f"/v2/{APP}/manifests/v1", token)[0] for token in tokens]
    assert dict(zip(upgraded.known["passwords"], statuses, strict=True)) == {
        "admin": 401,
        "alice": 200,
        "bob": 200,
        "carol": 401,
    }


def test_a_refresh_token_gives_a_token(upgraded: Upgraded) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": upgraded.known["refresh_token"]}
    form |= {"service": "Docker Registry", "client_id": "a client", "scope": f"repository:{APP}:pull"}

    status, _, body = upgraded.ask(
        "POST", "/v2/token", "", urlencode(form).encode(), "application/x-www-form-urlencoded"
    )

    assert status == 200, body
    assert upgraded.ask("GET", f"/v2/{APP}/tags/list", f"Bearer {json.loads(body)['token']}")[0] == 200


def test_an_open_upload_goes_on(upgraded: Upgraded) -> None:
    alice = upgraded.token("alice")
    upload, rest = upgraded.known["upload"], b"the second half"
    digest = digest_of(upload["sent"].encode() + rest)

    status, _, body = upgraded.ask("PUT", f"{upload['location']}?digest={digest}", alice, rest)

    assert status == 201, body
    assert digest_of(upgraded.ask("GET", f"/v2/{APP}/blobs/{digest}", alice)[2]) == digest


def test_an_image_is_pushed(upgraded: Upgraded) -> None:
    alice = upgraded.token("alice")
    layer, config = b"a layer of this version", b"{}"
    for content in (layer, config):
        path = f"/v2/{APP}/blobs/uploads/?digest={digest_of(content)}"
        assert upgraded.ask("POST", path, alice, content)[0] == 201

    payload = manifest(config, layer)
    status, _, body = upgraded.ask("PUT", f"/v2/{APP}/manifests/v2", alice, payload)

    assert status == 201, body
    assert upgraded.ask("GET", f"/v2/{APP}/manifests/v2", alice)[2] == payload


def test_what_was_edited_in_the_admin_stays(upgraded: Upgraded) -> None:
    checked = upgraded.manage("loadconfig", "--check", "config.yaml").stdout

    assert "! rule bob may pull and push bob/*: edited since it was imported" in checked
    assert "0 to add, 0 to change, 0 to remove; 1 edited since" in checked
    with closing(sqlite3.connect(upgraded.folder / "data" / "registry.sqlite3")) as database:
        rule = database.execute("SELECT actions, comment FROM acl_rule WHERE name = 'bob/*'").fetchone()
    assert rule == ("pull,push", "edited in the admin")


def test_what_lost_its_tag_is_collected_and_the_rest_is_whole(upgraded: Upgraded) -> None:
    alice = upgraded.token("alice")
    lost = [upgraded.known[name] for name in ("untagged", "deleted_tag")]

    upgraded.manage("gc", "--grace-period", "0s", "--delete-untagged")

    statuses = [upgraded.ask("GET", f"/v2/{APP}/manifests/{image['digest']}", alice)[0] for image in lost]
    assert statuses == [404, 404]
    assert upgraded.pulls(upgraded.known["tagged"], "v1", alice)
    upgraded.manage("fsck", "--deep")
