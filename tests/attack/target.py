"""The registry under attack: a real server on a real port, with something in it that strangers must not see."""

import json
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

from tests.clients.server import Answer, Server, password_of
from tests.images import digest_of, manifest

SECRET = "alice/secret"
MISSING = "alice/absent"
"""A name as long as that of the private repository, to which nobody ever pushed."""
LAYER = b"<script>alert(document.domain)</script>"
CONFIG = b'{"architecture":"amd64","os":"linux"}'
MANIFEST = manifest(CONFIG, LAYER)
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
STARS = "charlie/" + "a*" * 40 + "b"
"""A pattern on which a matcher that goes back and forth needs longer than anybody waits."""

METRICS_TOKEN = "opens-nothing-but-the-metrics-of-a-server"


class Target(Server):
    """alice owns alice/*, charlie charlie/* alone; developer may push to alice/shared too, and delete nothing."""

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        found: dict[str, Any] = super().configuration()
        rules = [
            *found["acl"],
            {"account": "alice", "name": "public/*", "actions": ["*"]},
            {"account": "charlie", "name": "charlie/*", "actions": ["*"]},
            {"account": "developer", "name": "alice/shared", "actions": ["pull", "push"]},
            {"account": "developer", "name": STARS, "actions": ["pull"]},
        ]
        server = found["server"] | {"metrics_token": METRICS_TOKEN}
        # An RSA key has more algorithms that a forger may name than P-256, which `tests/tokens` tries.
        auth = {"signing_method": "rsa"}
        return found | {"server": server, "acl": rules, "auth": auth, "garbage_collector": {"enabled": False}}

    def furnish(self) -> None:
        """Push an image to a private repository, and to a public one."""
        for repository in (SECRET, "public/app"):
            bearer = self.bearer("alice", f"repository:{repository}:pull,push")
            for blob in (CONFIG, LAYER):
                self.push_blob(repository, blob, bearer)
            assert self.put(repository, "v1", MANIFEST, bearer).status == 201

    def push_blob(self, repository: str, blob: bytes, bearer: str) -> None:
        """Push a blob by one request."""
        path = f"/v2/{repository}/blobs/uploads/?digest={digest_of(blob)}"
        assert self.request("POST", path, authorization=bearer, body=blob).status == 201

    def put(
        self, repository: str, reference: str, payload: bytes, bearer: str, media_type: str = MANIFEST_TYPE
    ) -> Answer:
        """Put a manifest."""
        path, more = f"/v2/{repository}/manifests/{reference}", {"Content-Type": media_type}
        return self.request("PUT", path, authorization=bearer, body=payload, more=more)

    def bearer(self, account: str, *scopes: str) -> str:
        """Return the Authorization header of a token for `scopes`; of nobody in particular when `account` is empty."""
        return self.log_in(account, password_of(account) if account else "", *scopes)

    def log_in(self, name: str, password: str, *scopes: str) -> str:
        """Return the Authorization header of a token for `scopes` that a name and a password give."""
        login = "Basic " + b64encode(f"{name}:{password}".encode()).decode()
        query = urlencode([("scope", scope) for scope in scopes])
        answer = self.request("GET", f"/v2/token?{query}", authorization=login)
        return f"Bearer {json.loads(answer.body)['token']}"

    def stored(self, *tables: str) -> list[int]:
        """Return how many rows each table of `distribution` has."""
        return [int(self.rows(f"SELECT count(*) FROM distribution_{table}")[0][0]) for table in tables or TABLES]

    def files(self) -> set[str]:
        """Return the paths of all files that the server keeps, but for those of the database."""
        return {str(path) for path in self.data.rglob("*")}

    def errors(self) -> list[str]:
        """Return what the server's log calls an error."""
        words = ('"level": "error"', '"level": "critical"', '"status": 500')
        lines = self.log_file.read_text().splitlines()
        return [line for line in lines if any(word in line for word in words)]


TABLES = ("repository", "upload", "manifest", "tag", "blob", "link")


def scope(repository: str, actions: str = "pull,push,delete") -> str:
    """Return a scope for a repository."""
    return f"repository:{repository}:{actions}"
