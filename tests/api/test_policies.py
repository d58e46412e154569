"""Policies of every kind by the API; `EXAMPLES` has one of each."""

from typing import Any

import pytest

from policies.kinds import BY_NAME
from tests.api.asking import answered, ask, items
from tests.api.test_administration import permit
from tests.caller import Caller
from tests.policies.signatures.signers import KEY_PEM

EXAMPLES: dict[str, dict[str, Any]] = {
    "quotas": {"repositories": ["alice/*"], "each": "namespace", "max_size": 2**30, "max_tags": 9},
    "retention": {
        "repositories": ["alice/*"],
        "tags": ["pr-*"],
        "keep_last": 3,
        "keep_pulled_within": "720h",
        "remove_signatures": True,
    },
    "signatures": {"repositories": ["alice/*"], "keys": KEY_PEM, "mode": "warn"},
    "read_only": {"repositories": ["alice/*"], "message": "until noon"},
    "immutable_tags": {"repositories": ["alice/*"], "tags": ["v*"], "except_tags": ["*-rc"], "protected": True},
}
KINDS = [pytest.param(kind, EXAMPLES[kind], id=kind) for kind in BY_NAME]


@pytest.mark.parametrize(("kind", "body"), KINDS)
def test_a_policy_is_created_changed_and_deleted(root: Caller, kind: str, body: dict[str, Any]) -> None:
    response = ask(root, "POST", f"policies/{kind}", body)

    made = response.json()
    assert response.status_code == 201, made
    assert made.items() >= body.items()
    assert made["sentence"] == str(BY_NAME[kind]._default_manager.get())
    place = f"policies/{kind}/{made['id']}"
    assert response["Location"] == f"/api/v1/{place}"
    changed = ask(root, "PATCH", place, {"comment": "why", "except_repositories": ["alice/a", "alice/b"]}).json()
    assert changed == made | {
        "comment": "why",
        "except_repositories": ["alice/a", "alice/b"],
        "sentence": changed["sentence"],
    }
    assert (answered(root, place), items(root, f"policies/{kind}")) == (changed, [changed])
    assert ask(root, "DELETE", place).status_code == 204
    assert ask(root, "GET", place).status_code == 404


@pytest.mark.parametrize(("kind", "body"), KINDS)
def test_what_is_wrong_is_told_by_field(root: Caller, kind: str, body: dict[str, Any]) -> None:
    refused: list[dict[str, Any]] = [
        {"repositories": []},
        {"repositories": ["Alice/*"]},
        {"repositories": ["alice/["]},
    ]
    for wrong in refused:
        response = ask(root, "POST", f"policies/{kind}", body | wrong)
        assert (response.status_code, list(response.json()["errors"])) == (400, ["repositories"])

    assert not BY_NAME[kind]._default_manager.exists()


@pytest.mark.parametrize(("kind", "body"), KINDS)
def test_it_needs_the_permission_of_that_kind(alice: Caller, kind: str, body: dict[str, Any]) -> None:
    permit(alice, "add_rule")
    assert ask(alice, "POST", f"policies/{kind}", body).status_code == 403

    permit(alice, f"add_{BY_NAME[kind]._meta.model_name}")

    assert ask(alice, "POST", f"policies/{kind}", body).status_code == 201


def test_a_policy_that_says_nothing_is_refused(root: Caller) -> None:
    response = ask(root, "POST", "policies/immutable_tags", {"repositories": ["alice/*"]})

    assert (response.status_code, list(response.json()["errors"])) == (400, ["tags"])
