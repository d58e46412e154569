"""A client that `openapi-python-client` generates from the schema speaks with the registry."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.schema import document
from tests.api.test_schema_fuzz import registry
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.images import push_image


@pytest.fixture
def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Generate the client and return the name of its package."""
    (tmp_path / "schema.json").write_text(json.dumps(document()))
    # Without a formatter.
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    program = str(Path(sys.executable).parent / "openapi-python-client")
    where = ["--path", "schema.json", "--config", "config.yaml", "--meta", "none", "--output-path", "registry_client"]
    subprocess.run([program, "generate", *where], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.syspath_prepend(tmp_path)
    return "registry_client"


def test_it_moves_a_tag_and_makes_a_rule(alice: Caller, root: Caller, generated: str) -> None:
    first = push_image(alice, "alice/team/app", "v1", b"one")
    second = push_image(alice, "alice/team/app", "v2", b"two")

    def module(name: str) -> Any:
        return importlib.import_module(f"{generated}.{name}")

    def client_of(name: str) -> Any:
        options = {"transport": httpx.WSGITransport(app=registry), "auth": (name, PASSWORDS[name])}
        return module("client").Client(base_url="http://localhost", httpx_args=options)

    target = module("models").TargetRequest(digest=first.digest)
    moved = module("api.repositories.move_tag").sync("alice/team/app", "v2", client=client_of("alice"), body=target)
    assert moved.digest == first.digest
    late = module("api.repositories.move_tag").sync_detailed(
        "alice/team/app", "v2", client=client_of("alice"), body=target, if_match=f'"{second.digest}"'
    )
    assert (late.status_code, late.parsed.title) == (412, "Precondition Failed")
    listed = module("api.repositories.list_tags").sync("alice/team/app", client=client_of("alice"), limit=1)
    assert ([tag.name for tag in listed.items], listed.next_ is None) == (["v1"], False)

    rule = module("models").RuleRequest.from_dict(
        {"subject_kind": "account", "subject": "bob", "name": "x/*", "actions": ["pull"]}
    )
    made = module("api.rules.create_rule").sync(client=client_of("charlie"), body=rule)
    assert made.sentence == "bob may pull x/*"
