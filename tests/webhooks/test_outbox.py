"""Rows of the outbox: one for each change and webhook, in the transaction of the change."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from acl.names import RepositoryName
from distribution import deletion
from tests.caller import Caller, content
from tests.images import Image, push_blob
from webhooks import outbox, pulls
from webhooks.kinds import CHOSEN, EventKind
from webhooks.models import Delivery, Webhook
from webhooks.origin import Origin
from webhooks.outbox import Subject

ALL = [kind.value for kind in CHOSEN]
Push = Callable[..., Image]


def rows() -> list[tuple[str, str, dict[str, Any]]]:
    found = Delivery.objects.order_by("pk")
    return [(row.kind, row.repository, json.loads(row.facts)) for row in found]


def test_without_a_webhook_a_push_writes_no_row(push: Push) -> None:
    push()

    assert not Delivery.objects.exists()


def test_a_push_is_one_row_with_tag_digest_account_and_request(make_hook: Any, push: Push) -> None:
    make_hook()

    image = push()

    ((kind, repository, facts),) = rows()
    assert (kind, repository) == ("manifest.push", "alice/app")
    assert (facts["tag"], facts["digest"], facts["account"]) == ("v1", image.digest, "alice")
    assert facts["size"] == len(image.payload)
    assert facts["request"]["method"] == "PUT"


def test_every_change_is_announced(make_hook: Any, alice: Caller, push: Push) -> None:
    image = push()
    make_hook(events=ALL)

    blob = push_blob(alice, "alice/app", b"another layer")
    alice.post(f"/v2/alice/other/blobs/uploads/?mount={blob}")
    alice.delete(f"/v2/alice/app/blobs/{blob}")
    alice.delete("/v2/alice/app/manifests/v1")
    alice.delete(f"/v2/alice/app/manifests/{image.digest}")
    deletion.begin(RepositoryName("alice/app"), account="alice")

    assert [row[:2] for row in rows()] == [
        ("blob.push", "alice/app"),
        ("blob.mount", "alice/other"),
        ("blob.delete", "alice/app"),
        ("tag.delete", "alice/app"),
        ("manifest.delete", "alice/app"),
        ("repository.delete", "alice/app"),
    ]


def test_the_tags_of_a_deleted_manifest_are_announced_too(make_hook: Any, alice: Caller, push: Push) -> None:
    image = push()
    make_hook()

    alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    assert [(kind, facts.get("tag")) for kind, _, facts in rows()] == [("tag.delete", "v1"), ("manifest.delete", None)]


@pytest.mark.parametrize(
    "values", [{"repositories": "bob/*"}, {"events": ["tag.delete"]}, {"is_active": False}], ids=str
)
def test_a_webhook_gets_only_what_it_asks_for(make_hook: Any, push: Push, values: dict[str, Any]) -> None:
    make_hook(**values)

    push()

    assert not Delivery.objects.exists()


def test_a_webhook_counts_from_the_next_request_on(make_hook: Any, push: Push) -> None:
    push(tag="before")
    hook = make_hook()
    push(tag="with")
    Webhook.objects.filter(pk=hook.pk).update(is_active=False)
    push(tag="after")

    assert [facts["tag"] for _, _, facts in rows()] == ["with"]


def test_a_push_that_is_rolled_back_is_not_announced(
    make_hook: Any, alice: Caller, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = push()
    make_hook()

    def fail(name: str) -> None:
        if name == "manifest.before_put_commit":
            raise RuntimeError(name)

    monkeypatch.setattr("distribution.manifests.store.failpoint", fail)
    answer = alice.put("/v2/alice/app/manifests/v2", image.payload)

    assert answer.status_code == 500
    assert not Delivery.objects.exists()


def _statements(act: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        act()
    return [query["sql"] for query in captured.captured_queries]


def test_a_webhook_costs_a_push_one_insert_and_none_costs_nothing(make_hook: Any, alice: Caller, push: Push) -> None:
    image = push()

    def put(tag: str) -> list[str]:
        return _statements(lambda: alice.put(f"/v2/alice/app/manifests/{tag}", image.payload))

    put("warm")
    without = put("a")
    hook = make_hook()
    put("warm")
    with_one = put("b")
    hook.delete()
    put("warm")
    without_again = put("c")

    assert len(with_one) == len(without) + 1
    assert sum("INSERT INTO webhooks_delivery" in sql for sql in with_one) == 1
    assert len(without_again) == len(without)


def test_audit_and_outbox_tell_the_same(
    make_hook: Any, alice: Caller, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = push()
    make_hook()
    audited: list[tuple[str, str, str]] = []

    def record(_kind: object, _request: object, **told: str) -> None:
        audited.append((told["account"], told["repository"], told["reference"]))

    monkeypatch.setattr("distribution.pushes.caller.record", record)

    alice.put("/v2/alice/app/manifests/v2", image.payload)
    alice.delete("/v2/alice/app/manifests/v2")

    assert audited == [(facts["account"], repository, facts["tag"]) for _, repository, facts in rows()]


def test_more_rows_than_one_statement_takes_are_written(make_hook: Any, push: Push, alice: Caller) -> None:
    hook = make_hook()
    subjects = [Subject(tag=str(number)) for number in range(1200)]

    outbox.add(
        [hook.pk],
        EventKind.TAG_DELETE,
        "alice/app",
        subjects,
        account="alice",
        origin=Origin(),
    )

    assert [facts["tag"] for _, _, facts in rows()] == [str(number) for number in range(1200)]


def test_a_pull_is_queued_and_stored_when_a_webhook_asks(make_hook: Any, alice: Caller, push: Push) -> None:
    image = push()
    alice.get("/v2/alice/app/manifests/v1")
    make_hook(events=["manifest.pull", "blob.pull"])

    alice.get("/v2/alice/app/manifests/v1")
    alice.head("/v2/alice/app/manifests/v1")
    content(alice.get(f"/v2/alice/app/blobs/{image.config}"))
    assert not Delivery.objects.exists()
    pulls.store()

    assert [(kind, facts["digest"], facts.get("tag"), facts["account"]) for kind, _, facts in rows()] == [
        ("manifest.pull", image.digest, "v1", "alice"),
        ("blob.pull", image.config, None, "alice"),
    ]
