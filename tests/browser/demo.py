"""A registry as a team has it after some weeks: images, a chart, signatures, SBOMs, and somebody who was refused."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from distribution.protocol import spec
from tests.clients.browser import Browser
from tests.clients.server import RULES, Server, basic
from tests.images import descriptor, digest_of
from tests.policies.signatures.signers import KEY_PEM

SPDX = "application/spdx+json"
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
COSIGN = "application/vnd.dev.cosign.artifact.sig.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
ROOT_LAYER = b"debian" * 40_000
PACKAGES = (
    "adduser",
    "apt",
    "base-files",
    "bash",
    "ca-certificates",
    "coreutils",
    "curl",
    "libc6",
    "openssl",
    "zlib1g",
)


class DemoServer(Server):
    """A registry whose collector waits for whoever asks."""

    def configuration(self) -> dict[str, object]:
        found: Any = super().configuration()
        found["users"]["bob"]["groups"] = ["developers"]
        rules = [
            *RULES,
            {"account": "alice", "name": "public/*", "actions": ["*"]},
            {"group": "developers", "name": "myorg/*", "actions": ["pull"]},
        ]
        policies = {
            "immutable_tags": [
                {"repositories": "public/*", "tags": "v*", "except_tags": "*-rc*"},
                {"repositories": "alice/tools/*", "tags": "latest"},
            ],
            "quotas": [
                {"repositories": "*", "each": "namespace", "max_size": "10GiB", "max_tags": 100},
                {"repositories": "alice/tools/*", "max_tags": 2},
            ],
            "signatures": [{"repositories": "carol/*", "keys": KEY_PEM, "mode": "warn"}],
            "read_only": [{"repositories": "archive/*", "message": "moved to the new registry"}],
        }
        # Disabled: what the demo does is told to nobody.
        hook = {"url": "https://ci.example.org/hooks/registry", "secret": "s" * 40, "enabled": False}
        hook["headers"] = {"Authorization": {"value": "Bearer of-the-receiver"}}
        found |= {"acl": rules, "policies": policies, "webhooks": {"ci": hook}}
        found |= {"garbage_collector": {"enabled": False, "grace_period": "0s"}}
        return dict(found)


class Pusher:
    """An account that pushes to one repository."""

    def __init__(self, server: Server, account: str, repository: str) -> None:
        self._server = server
        self._repository = repository
        token = server.token(account, f"repository:{repository}:pull,push,delete")
        self._authorization = f"Bearer {token}"

    def blob(self, content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        """Push a blob and return its descriptor."""
        path = f"/v2/{self._repository}/blobs/uploads/?digest={digest_of(content)}"
        answer = self._server.request("POST", path, authorization=self._authorization, body=content)
        assert answer.status == 201, answer.body
        return descriptor(content, media_type, **more)

    def manifest(self, document: dict[str, Any], reference: str = "") -> dict[str, Any]:
        """Push a manifest, by its digest without a reference, and return its descriptor."""
        payload = json.dumps(document).encode()
        path = f"/v2/{self._repository}/manifests/{reference or digest_of(payload)}"
        answer = self._server.request(
            "PUT", path, authorization=self._authorization, body=payload, more={"Content-Type": document["mediaType"]}
        )
        assert answer.status == 201, answer.body
        return descriptor(payload, document["mediaType"])

    def pull(self, reference: str) -> int:
        """Pull a manifest and return the status."""
        path = f"/v2/{self._repository}/manifests/{reference}"
        return self._server.request("GET", path, authorization=self._authorization).status

    def delete(self, tag: str) -> None:
        """Delete a tag."""
        path = f"/v2/{self._repository}/manifests/{tag}"
        assert self._server.request("DELETE", path, authorization=self._authorization).status == 202

    def begin_upload(self) -> None:
        """Begin an upload that nobody completes."""
        path = f"/v2/{self._repository}/blobs/uploads/"
        assert self._server.request("POST", path, authorization=self._authorization, body=b"").status == 202

    def image(self, tag: str, version: str, architecture: str = "amd64", **labels: str) -> dict[str, Any]:
        """Push an image to run, and return its descriptor."""
        layers = [
            ROOT_LAYER,
            f"packages of {version}".encode() * 9_000,
            f"program {version} {architecture}".encode() * 5,
        ]
        history = [
            {"created_by": "/bin/sh -c #(nop) ADD file:debian in / "},
            {"created_by": "RUN apt-get install --yes ca-certificates libc6"},
            {"created_by": "ENV APP_ENV=production", "empty_layer": True},
            {"created_by": "COPY app /usr/local/bin/app"},
        ]
        settings = {
            "Entrypoint": ["/usr/local/bin/app"],
            "Cmd": ["serve", "--port", "8080"],
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "APP_ENV=production", "DB_PASSWORD=hunter2"],
            "User": "app",
            "WorkingDir": "/srv",
            "ExposedPorts": {"8080/tcp": {}},
            "Labels": {"org.opencontainers.image.version": version, **labels},
        }
        config = {
            "created": "2026-11-02T09:30:00Z",
            "architecture": architecture,
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
            "history": history,
        }
        return self.manifest(
            {
                "schemaVersion": 2,
                "mediaType": spec.OCI_MANIFEST,
                "config": self.blob(json.dumps(config).encode(), spec.OCI_CONFIG),
                "layers": [self.blob(layer, spec.OCI_LAYER) for layer in layers],
                "annotations": {"org.opencontainers.image.source": "https://git.example.org/alice/app"},
            },
            tag,
        )

    def index(self, tag: str, version: str) -> dict[str, Any]:
        """Push an image for two platforms, and return the descriptor of its index."""
        platforms = ("amd64", "arm64")
        children = [
            self.image("", version, one) | {"platform": {"os": "linux", "architecture": one}} for one in platforms
        ]
        return self.manifest({"schemaVersion": 2, "mediaType": spec.OCI_INDEX, "manifests": children}, tag)

    def attach(
        self, subject: dict[str, Any], kind: str, content: bytes, media_type: str, reference: str = ""
    ) -> dict[str, Any]:
        """Push an artifact about `subject`, and return its descriptor."""
        return self.manifest(
            {
                "schemaVersion": 2,
                "mediaType": spec.OCI_MANIFEST,
                "artifactType": kind,
                "config": self.blob(b"{}", "application/vnd.oci.empty.v1+json"),
                "layers": [self.blob(content, media_type)],
                "subject": subject,
            },
            reference,
        )


def sbom() -> bytes:
    """Return an SPDX document."""
    packages = [
        {"name": name, "versionInfo": f"1.{number}.0", "licenseConcluded": "GPL-2.0-only", "SPDXID": f"SPDXRef-{name}"}
        for number, name in enumerate(PACKAGES)
    ]
    return json.dumps({"spdxVersion": "SPDX-2.3", "name": "app", "packages": packages}).encode()


def provenance(subject: dict[str, Any]) -> bytes:
    """Return an in-toto statement about an image."""
    sha256 = subject["digest"].partition(":")[2]
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "predicateType": "https://slsa.dev/provenance/v1",
            "subject": [{"name": "alice/app", "digest": {"sha256": sha256}}],
            "predicate": {
                "buildDefinition": {
                    "buildType": "https://example.org/build/v1",
                    "externalParameters": {"ref": "refs/heads/main"},
                    "resolvedDependencies": [
                        {"uri": "git+https://git.example.org/alice/app", "digest": {"sha1": "a" * 40}}
                    ],
                },
                "runDetails": {"builder": {"id": "https://ci.example.org/runner"}},
            },
        }
    ).encode()


DESCRIPTION = """The web shop: an HTTP server on port 8080.

- `latest` follows the main branch, versions are kept.
- Settings: see the [manual](https://git.example.org/alice/app/manual).
"""


def fill(server: DemoServer) -> None:
    """Push what a team has, and wait until the registry has summed it."""
    app = Pusher(server, "alice", "alice/app")
    for number in range(1, 5):
        app.image(f"v1.{number}", f"1.{number}.0")
    app.image("nightly", "1.5.0-dev")
    index = app.index("v2.0", "2.0.0")
    app.image("latest", "1.4.0")
    app.index("latest", "2.0.0")
    bill = app.attach(index, SPDX, sbom(), SPDX, "v2.0-sbom")
    app.attach(bill, COSIGN, b"signature of the bill", "application/vnd.dev.cosign.simplesigning.v1+json")
    app.attach(index, COSIGN, b"signature", "application/vnd.dev.cosign.simplesigning.v1+json")
    app.attach(index, IN_TOTO, provenance(index), IN_TOTO)
    app.delete("nightly")
    for name in ("alice/web", "alice/worker", "alice/tools/lint", "public/base", "alice/tools/release"):
        Pusher(server, "alice", name).image("latest", "0.9.1")
    _chart(Pusher(server, "alice", "alice/charts/app"))
    for tag in ("latest", "v2.0", "v1.4", "latest"):
        assert app.pull(tag) == 200
    server.execute(f"UPDATE distribution_repository SET description = '{DESCRIPTION}' WHERE name = 'alice/app'")
    app.begin_upload()
    _refuse(server)
    _log_in(server)
    _plan(server)
    _wait_for_sums(server)


def _chart(pusher: Pusher) -> None:
    config = json.dumps({"name": "app", "version": "1.2.0", "appVersion": "2.0.0", "description": "The app"}).encode()
    pusher.manifest(
        {
            "schemaVersion": 2,
            "mediaType": spec.OCI_MANIFEST,
            "config": pusher.blob(config, HELM_CONFIG),
            "layers": [pusher.blob(b"a chart", HELM_CHART)],
        },
        "1.2.0",
    )


def _refuse(server: Server) -> None:
    """Let bob push where he may only pull, and a stranger guess a password."""
    token = server.token("bob", "repository:alice/app:pull,push")
    path = "/v2/alice/app/manifests/v1.4"
    answer = server.request("PUT", path, authorization=f"Bearer {token}", body=b"{}")
    assert answer.status == 401
    wrong = "Basic " + base64.b64encode(b"alice:guess").decode()
    assert server.request("GET", "/v2/token?service=Docker%20Registry", authorization=wrong).status == 401


def _log_in(server: DemoServer) -> None:
    """Make access tokens and docker logins, and give developer a second factor."""
    server.does("createtoken", "alice", "--name", "nightly build", "--scope", "alice/*:pull,push")
    server.does("createtoken", "bob", "--name", "deployment", "--scope", "alice/app:pull")
    for account, client in (("alice", "docker"), ("bob", "docker"), ("bob", "ci-runner")):
        path = f"/v2/token?service=Docker%20Registry&offline_token=true&client_id={client}"
        assert server.request("GET", path, authorization=basic(account)).status == 200
    server.execute(
        "INSERT INTO accounts_secondfactor (account_id, seed, last_step, created_at) "
        "SELECT id, 'seed', 0, '2026-11-01 00:00:00' FROM accounts_account WHERE name = 'developer'"
    )


def _plan(server: Server) -> None:
    """Ask for a dry run in the admin, and wait until it has ended."""
    browser = Browser(f"http://{server.host}")
    browser.log_in("admin")
    asked = browser.submit("/admin/gc/run/add/", {"is_dry_run": "on", "remove_untagged": "on"})
    assert b"The run is requested" in asked.body
    deadline = time.monotonic() + 120
    while server.rows("SELECT state FROM gc_run WHERE id = 1") != [("done",)]:
        assert time.monotonic() < deadline, server.log_file.read_text()
        time.sleep(0.1)


def _wait_for_sums(server: Server) -> None:
    """Wait until the pages know the size of each repository, and the last push to it."""
    deadline = time.monotonic() + 120
    unknown = "SELECT name FROM distribution_repository WHERE size IS NULL OR pushed_at IS NULL"
    while missing := server.rows(unknown):
        assert time.monotonic() < deadline, missing
        time.sleep(0.1)


_OF_REPOSITORY = "FROM distribution_tagmove WHERE repository = distribution_repository.name"
_OF_TAG = "FROM distribution_tagmove AS move JOIN distribution_repository AS own ON own.name = move.repository"
_AGING = (
    "UPDATE distribution_tagmove SET moved_at = "
    "datetime('now', '-' || (31 * ((SELECT MAX(id) FROM distribution_tagmove) - id) + 2) || ' hours')",
    f"UPDATE distribution_repository SET created_at = (SELECT MIN(moved_at) {_OF_REPOSITORY}), "
    f"pushed_at = (SELECT MAX(moved_at) {_OF_REPOSITORY})",
    f"UPDATE distribution_tag SET updated_at = (SELECT MAX(move.moved_at) {_OF_TAG} "
    "WHERE move.tag = distribution_tag.name AND own.id = distribution_tag.repository_id)",
)


def age(server: Server) -> None:
    """Write thirty days of use and space, and let pushes be of different days."""
    for statement in _AGING:
        server.execute(statement)
    today = datetime.now(UTC).date()
    for number in range(1, 30):
        day, weekday = today - timedelta(days=number), (today - timedelta(days=number)).weekday()
        pulls, pushes = (40 + 13 * number % 90, 3 + 5 * number % 11) if weekday < 5 else (6, 0)
        for name, share in (("alice/app", 1), ("alice/web", 3)):
            server.execute(
                "INSERT INTO distribution_dailyuse (repository, day, pulls, pushes) "
                f"VALUES ('{name}', '{day}', {pulls // share}, {pushes // share})"
            )
        server.execute(
            "INSERT INTO distribution_dailystorage (day, stored_bytes, blobs, linked_bytes, free_bytes, seen_at) "
            f"VALUES ('{day}', {(60 - number) * 20_000}, {60 - number}, {(60 - number) * 52_000}, "
            f"{(400 + number) * 10**8}, '{day} 12:00:00')"
        )
