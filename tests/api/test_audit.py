"""What the API changes is in the audit, and `GET /api/v1/audit`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from acl.models import Rule
from audit.models import Event, first_key
from tests.api.asking import answered, ask, items, promote
from tests.api.test_access_tokens import made
from tests.api.test_administration import permit
from tests.api.test_session import token_of
from tests.audit.conftest import Written, queue, written  # noqa: F401 - fixtures
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.images import Image

APP = "repositories/alice/app"
TAGS = f"{APP}/-/tags"
Capture = Any
Facts = tuple[str, ...]


def facts(events: list[Event], *kinds: str) -> list[Facts]:
    """Return kind, credential, reference and detail of the events of these kinds."""
    return [(e.kind, e.credential, e.reference, e.detail) for e in events if e.kind in kinds]


def test_a_tag_that_is_created_moved_rolled_back_and_deleted(
    alice: Caller,
    push: Callable[..., Image],
    written: Written,  # noqa: F811
) -> None:
    one, two = push("alice/app", "v1", b"one"), push("alice/app", "v2", b"two")
    written()
    Event.objects.all().delete()

    for digest in (one.digest, two.digest, one.digest, one.digest):
        assert ask(alice, "PUT", f"{TAGS}/latest", {"digest": digest}).status_code in (200, 201)
    ask(alice, "DELETE", f"{TAGS}/latest")

    events = written()
    assert [(event.kind, event.digest, event.detail) for event in events] == [
        ("tag_pushed", one.digest, ""),
        ("tag_pushed", two.digest, f"from {one.digest}"),
        ("tag_rolled_back", one.digest, f"from {two.digest}"),
        ("tag_deleted", "", ""),
    ]
    assert {(e.account, e.credential, e.repository, e.reference, e.address) for e in events} == {
        ("alice", "password", "alice/app", "latest", "127.0.0.1")
    }


def test_a_manifest_and_a_repository_that_are_deleted(
    alice: Caller,
    push: Callable[..., Image],
    written: Written,  # noqa: F811
) -> None:
    image = push("alice/app", "v1")

    assert ask(alice, "DELETE", f"{APP}/-/manifests/{image.digest}").status_code == 204
    assert ask(alice, "DELETE", APP).status_code == 200

    assert facts(written(), "manifest_deleted", "repository_deleted") == [
        ("manifest_deleted", "password", image.digest, ""),
        ("repository_deleted", "password", "", ""),
    ]


def test_a_description(alice: Caller, push: Callable[..., Image], written: Written) -> None:  # noqa: F811
    push("alice/app", "v1")

    for text in ("# Mine", "# Mine"):
        assert ask(alice, "PUT", f"{APP}/-/description", {"description": text}).status_code == 200

    (event,) = [event for event in written() if event.kind == "description"]
    assert (event.account, event.repository, event.credential) == ("alice", "alice/app", "password")


def test_a_refused_change_is_no_event(bob: Caller, push: Callable[..., Image], written: Written) -> None:  # noqa: F811
    image = push("alice/app", "v1")
    before = len(written())

    assert ask(bob, "DELETE", f"{TAGS}/v1").status_code == 403
    assert ask(bob, "PUT", f"{TAGS}/v2", {"digest": image.digest}).status_code == 403

    assert len(written()) == before


def test_an_access_token_is_named(push: Callable[..., Image], written: Written) -> None:  # noqa: F811
    push("alice/app", "v1")

    ask(Caller(Client(), "alice", made(name="nightly")), "DELETE", f"{TAGS}/v1")

    assert facts(written(), "tag_deleted") == [("tag_deleted", "access token nightly", "v1", "")]


def test_who_is_anonymous_has_no_credential(
    anonymous: Caller,
    push: Callable[..., Image],
    written: Written,  # noqa: F811
) -> None:
    push("public/app", "v1")
    Rule.objects.create(subject_kind="anonymous", name="public/*", actions="delete")

    assert ask(anonymous, "DELETE", "repositories/public/app/-/tags/v1").status_code == 204

    (event,) = [event for event in written() if event.kind == "tag_deleted"]
    assert (event.account, event.credential) == ("", "")


@pytest.fixture
def committed(written: Written, django_capture_on_commit_callbacks: Capture) -> Callable[..., list[Event]]:  # noqa: F811
    """Return a function that does something, commits, and returns the events of the given kinds."""

    def run(work: Callable[[], object], *kinds: str) -> list[Event]:
        with django_capture_on_commit_callbacks(execute=True):
            work()
        return [event for event in written() if event.kind in kinds]

    return run


RULE = {"subject_kind": "account", "subject": "bob", "name": "x/*", "actions": ["pull"]}
CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    (
        "rules",
        RULE,
        {"comment": "why", "name": "x/y"},
        [
            "added: subject_kind: account; subject: bob; name: x/*; actions: pull",
            "changed: name: x/* → x/y; comment: why",
            "deleted",
        ],
    ),
    ("groups", {"name": "dev"}, {"name": "ops"}, ["added: name: dev", "changed: name: dev → ops", "deleted"]),
    (
        "accounts",
        {"name": "dora"},
        {"is_active": False},
        ["added: name: dora; is_active: yes", "changed: is_active: yes → no", "deleted"],
    ),
]


@pytest.mark.parametrize("case", CHANGES, ids=[case[0] for case in CHANGES])
def test_what_an_administrator_changes(
    root: Caller, committed: Callable[..., list[Event]], case: tuple[str, dict[str, Any], dict[str, Any], list[str]]
) -> None:
    path, body, change, expected = case

    def work() -> None:
        where = ask(root, "POST", path, body)["Location"].removeprefix("/api/v1/")
        # The second time it changes nothing.
        assert [ask(root, "PATCH", where, change).status_code for _ in range(2)] == [200, 200]
        assert ask(root, "DELETE", where).status_code == 204

    events = committed(work, "change")

    assert [event.detail for event in events] == expected
    assert {(event.account, event.credential) for event in events} == {("charlie", "password")}


def test_a_refused_change_by_an_administrator(root: Caller, committed: Callable[..., list[Event]]) -> None:
    assert committed(lambda: ask(root, "POST", "rules", RULE | {"name": "["}), "change") == []


def test_a_password(root: Caller, committed: Callable[..., list[Event]]) -> None:
    secret = "correct horse battery"

    events = committed(
        lambda: ask(root, "PATCH", "accounts/bob", {"password": secret}), "change", "password", "second_factor"
    )

    assert facts(events, "change", "password", "second_factor") == [
        ("password", "password", "account bob", "password changed")
    ]
    assert not any(secret in event.detail for event in events)


def test_a_session_is_the_credential_of_a_page(root: Caller, committed: Callable[..., list[Event]]) -> None:
    browser = Client()
    browser.get("/login")
    browser.post("/login", {"username": root.name, "password": PASSWORDS[root.name]})
    headers = {"X-CSRFToken": token_of(browser)}

    events = committed(
        lambda: browser.post("/api/v1/groups", {"name": "made"}, "application/json", headers=headers), "change"
    )

    assert facts(events, "change") == [("change", "session", "group made", "added: name: made")]


@pytest.fixture
def events(db: None) -> list[Event]:
    """Store some events of different times, accounts and digests."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    columns: list[dict[str, Any]] = [
        {"kind": "tag_pushed", "account": "alice", "repository": "alice/app", "digest": "sha256:ab01"},
        {"kind": "denial", "account": "", "address": "192.0.2.1"},
        {"kind": "tag_pushed", "account": "bob", "repository": "bob/app", "digest": "sha256:cd"},
    ]
    times = [start + timedelta(days=day) for day in range(3)]
    rows = [Event(id=first_key(at), at=at, **each) for at, each in zip(times, columns, strict=True)]
    return Event.objects.bulk_create(rows)


def test_events_are_listed_newest_first_in_pages(root: Caller, events: list[Event]) -> None:
    found = items(root, "audit?limit=1")

    assert [event["id"] for event in found] == [str(event.pk) for event in reversed(events)]
    assert found[0] == {
        "id": str(events[2].pk),
        "at": "2026-01-03T00:00:00.000Z",
        "kind": "tag_pushed",
        "account": "bob",
        "address": "",
        "credential": "",
        "repository": "bob/app",
        "reference": "",
        "digest": "sha256:cd",
        "detail": "",
        "request_id": "",
        "count": 1,
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kind=tag_pushed", [2, 0]),
        ("account=alice", [0]),
        ("account=", [1]),
        ("repository=bob/app", [2]),
        ("address=192.0.2.1", [1]),
        ("digest=sha256:ab", [0]),
        ("since=2026-01-02T00:00:00Z", [2, 1]),
        ("until=2026-01-02T00:00:00Z", [0]),
        ("since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z", [2, 1, 0]),
        ("since=9999-12-31T23:59:59Z", []),
        ("account=alice&kind=denial", []),
    ],
)
def test_events_are_filtered(root: Caller, events: list[Event], query: str, expected: list[int]) -> None:
    keys = [str(events[number].pk) for number in expected]

    assert [event["id"] for event in answered(root, f"audit?{query}")["items"]] == keys


@pytest.mark.parametrize("query", ["kind=none", "since=yesterday", "after=x", "account=%00", "limit=0"])
def test_a_wrong_filter_is_400(root: Caller, query: str) -> None:
    response = ask(root, "GET", f"audit?{query}")

    assert (response.status_code, list(response.json()["errors"])) == (400, [query.partition("=")[0]])


def test_the_audit_needs_its_permission(alice: Caller, bob: Caller, anonymous: Caller) -> None:
    assert ask(anonymous, "GET", "audit").status_code == 401
    assert ask(promote(alice, is_staff=True), "GET", "audit").status_code == 403
    assert ask(permit(bob, "view_event"), "GET", "audit").status_code == 200
