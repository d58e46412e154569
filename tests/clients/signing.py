"""Repositories whose images need a signature, and who signs."""

import json
from pathlib import Path

from tests.clients.layouts import MANIFEST, Layout
from tests.clients.program import Program
from tests.clients.server import Server, basic
from tests.policies.signatures.artifacts import by_tag
from tests.policies.signatures.signers import KEY, KEY_PEM


def require_signatures(server: Server, repository: str) -> None:
    """Make a policy by the API."""
    body = json.dumps({"repositories": [repository], "keys": KEY_PEM}).encode()
    headers = {"Content-Type": "application/json"}
    answer = server.request(
        "POST", "/api/v1/policies/signatures", authorization=basic("admin"), body=body, more=headers
    )
    assert answer.status == 201, answer.body


def sign(skopeo: Program, repository: str, digest: str, folder: Path) -> None:
    """Push what `cosign sign --key` makes."""
    layout, signature = Layout(folder), by_tag(KEY, digest)
    for blob in signature.blobs:
        layout.add(blob, "")
    layout.tag("v1", layout.add(signature.payload, MANIFEST))
    target = skopeo.docker(f"{repository}:{signature.tag}")
    skopeo.run("copy", "--preserve-digests", layout.reference("v1"), target)
