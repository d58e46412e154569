"""Each kind of event, by what a client, an administrator or a command does."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import DatabaseError
from django.test import Client, RequestFactory

from accounts.models import Account
from acl.models import Rule
from audit.kinds import Kind
from audit.models import Event
from collector.jobs import due
from distribution.models import Manifest, Repository, Tag
from tests.admin.browser import Browser
from tests.admin.conftest import admin, manager, root  # noqa: F401 - fixtures
from tests.admin.test_second_factor import code_of
from tests.audit.conftest import Written
from tests.caller import Caller, content
from tests.images import Image, push_blob, put_manifest
from tests.web.test_pages import signed_in
from tokens.access import secret
from tokens.models import AccessToken, RefreshToken

Capture = Any
ADDRESS = "127.0.0.1"
REQUEST_ID = {"X-Request-ID": "build-4711"}


def of(events: list[Event], kind: str) -> Event:
    """Return the one event of a kind."""
    (event,) = [event for event in events if event.kind == kind]
    return event


def test_a_login_and_its_token(alice: Caller, written: Written) -> None:
    for _ in range(3):
        alice.ask_token("repository:alice/app:pull,push")

    login, token = written()
    assert (login.kind, login.account, login.address, login.credential) == ("login", "alice", ADDRESS, "password")
    assert (login.detail, login.count) == ("login for a token", 3)
    assert (token.kind, token.account, token.credential, token.count) == ("token", "alice", "password", 3)
    assert token.detail == "repository:alice/app:pull,push"


def test_a_refresh_token_is_a_credential(alice: Caller, written: Written) -> None:
    refresh = alice.ask_token("repository:alice/app:pull", offline_token="true").json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "service": "Docker Registry"}
    answer = alice.client.post("/v2/token", urlencode(form), "application/x-www-form-urlencoded")

    assert answer.status_code == 200

    assert [event.credential for event in written() if event.kind == "login"] == ["password", "refresh token"]


def test_an_anonymous_token_is_no_event(anonymous: Caller, written: Written) -> None:
    anonymous.ask_token("repository:public/app:pull")

    assert written() == []


def test_a_refused_login(bob: Caller, written: Written) -> None:
    bob.password = "wrong"
    bob.ask_token()

    event = of(written(), "login_refused")
    assert (event.account, event.address, event.credential) == ("bob", ADDRESS, "password")
    assert event.detail == "login refused, for a token"


def test_a_pull_is_no_event(push: Callable[..., Image], bob: Caller, written: Written) -> None:
    image = push()
    token = bob.token("repository:alice/app:pull")
    written()
    before = Event.objects.count()

    for path in ("manifests/v1", f"manifests/{image.digest}", f"blobs/{image.config}"):
        assert content(bob.get(f"/v2/alice/app/{path}", token=token))
    assert len(written()) == before


def test_a_pushed_tag(alice: Caller, push: Callable[..., Image], written: Written) -> None:
    image = push("alice/app", "v1")

    event = of(written(), "tag_pushed")
    assert (event.account, event.repository, event.reference) == ("alice", "alice/app", "v1")
    assert event.digest == image.digest
    assert event.credential.startswith("token ")
    assert event.address == ADDRESS


def test_a_pushed_manifest_without_a_tag(alice: Caller, push: Callable[..., Image], written: Written) -> None:
    image = push("alice/app", "v1")
    put_manifest(alice, "alice/app", image.digest, image.payload)

    event = of(written(), "manifest_pushed")
    assert (event.reference, event.digest) == (image.digest, image.digest)


def test_a_mounted_blob(alice: Caller, written: Written) -> None:
    digest = push_blob(alice, "alice/app", b"a layer")
    scopes = ["repository:alice/other:pull,push", "repository:alice/app:pull"]
    alice.post(f"/v2/alice/other/blobs/uploads/?mount={digest}&from=alice/app", scopes=scopes, headers=REQUEST_ID)

    event = of(written(), "blob_mounted")
    assert (event.repository, event.digest, event.detail) == ("alice/other", digest, "from alice/app")
    assert event.request_id == "build-4711"


def test_what_is_deleted_by_a_client(alice: Caller, push: Callable[..., Image], written: Written) -> None:
    image = push("alice/app", "v1")
    blob = push_blob(alice, "alice/app", b"alone")
    for path in ("manifests/v1", f"manifests/{image.digest}", f"blobs/{blob}"):
        assert alice.delete(f"/v2/alice/app/{path}").status_code == 202

    events = written()
    assert of(events, "tag_deleted").reference == "v1"
    assert of(events, "manifest_deleted").digest == image.digest
    assert of(events, "blob_deleted").digest == blob


def test_a_denial_has_the_rule_that_comes_close_and_is_counted(bob: Caller, written: Written) -> None:
    token = bob.token("repository:alice/app:pull,push")
    for _ in range(5):
        assert bob.post("/v2/alice/app/blobs/uploads/", token=token).status_code == 401

    event = of(written(), "denial")
    assert (event.account, event.repository, event.count) == ("bob", "alice/app", 5)
    assert event.credential.startswith("token ")
    assert event.detail.startswith("no rule allows bob to push alice/app; these come close: ")
    assert "but not push" in event.detail
    assert "this is bob" in event.detail


def test_a_denial_for_the_scope_names_no_rule(alice: Caller, written: Written) -> None:
    alice.post("/v2/alice/app/blobs/uploads/", scopes=["repository:alice/app:pull"])

    assert of(written(), "denial").detail == "the token lacks the scope, which the rules allow: alice/app:push"


def test_another_reason_is_another_event(bob: Caller, written: Written) -> None:
    token = bob.token("repository:alice/app:pull,push,delete")
    bob.post("/v2/alice/app/blobs/uploads/", token=token)
    bob.delete("/v2/alice/app/manifests/v1", token=token)

    assert [event.detail[:40] for event in written() if event.kind == "denial"] == [
        "no rule allows bob to push alice/app; th",
        "no rule allows bob to delete alice/app; ",
    ]


def test_a_rule_that_is_added_changed_and_deleted(
    admin: Browser,  # noqa: F811
    written: Written,
    django_capture_on_commit_callbacks: Capture,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        admin.submit("/admin/acl/rule/add/", subject_kind="group", subject="dev", actions=["pull"], name="team/*")
        rule = Rule.objects.get(subject="dev")
        admin.submit(f"/admin/acl/rule/{rule.pk}/change/", name="other/*")
        admin.delete_selected("/admin/acl/rule/", rule.pk)

    added, changed, deleted = [event for event in written() if event.kind == "change"]
    assert {(event.account, event.credential, event.address) for event in (added, changed, deleted)} == {
        ("root", "session", ADDRESS)
    }
    assert added.reference.startswith("access rule ")
    assert "subject: dev" in added.detail
    assert changed.detail == "changed: name: team/* → other/*"
    assert deleted.detail == "deleted"


def test_a_change_of_an_account_has_old_and_new_values_and_no_secret(
    admin: Browser,  # noqa: F811
    written: Written,
    django_capture_on_commit_callbacks: Capture,
) -> None:
    bob, group = Account.objects.get(name="bob"), Group.objects.create(name="dev")
    secret = "a very new password"
    with django_capture_on_commit_callbacks(execute=True):
        admin.submit(f"/admin/accounts/account/{bob.pk}/change/", groups=[str(group.pk)], is_staff="on")
        admin.submit(f"/admin/accounts/account/{bob.pk}/password/", password1=secret, password2=secret)

    events = written()
    assert of(events, "change").reference == "account bob"
    assert of(events, "change").detail == "changed: groups: dev; is_staff: no → yes"
    assert (of(events, "password").account, of(events, "password").reference) == ("root", "account bob")
    assert not any(secret in event.detail or "$2" in event.detail for event in events)


def test_a_refused_change_is_no_event(
    admin: Browser,  # noqa: F811
    written: Written,
    django_capture_on_commit_callbacks: Capture,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        admin.submit("/admin/acl/rule/add/", subject_kind="group", subject="dev", actions=["pull"], name="[")

    assert [event for event in written() if event.kind == "change"] == []


@pytest.mark.parametrize("verb", ["delete_rows", "delete_few"])
def test_a_deletion_that_fails_is_no_event(
    root: Account,  # noqa: F811
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Capture,
    verb: str,
) -> None:
    rule = Rule.objects.create(subject_kind="group", subject="dev", name="team/*", actions="pull")
    registered: Any = site.get_model_admin(Rule)

    def fail(*_: object) -> None:
        raise DatabaseError

    monkeypatch.setattr(registered, "delete_queryset", fail)
    request = RequestFactory().post("/", {"post": "yes"})
    request.user = root
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(DatabaseError):
        getattr(registered, verb)(request, [rule] if verb == "delete_rows" else Rule.objects.filter(pk=rule.pk))

    assert not LogEntry.objects.exists()
    assert [event for event in written() if event.kind == "change"] == []


def test_what_is_deleted_in_the_admin(
    admin: Browser,  # noqa: F811
    push: Callable[..., Image],
    written: Written,
) -> None:
    image = push("alice/app", "v1")
    admin.delete_selected("/admin/distribution/tag/", Tag.objects.get().pk)
    admin.delete_selected("/admin/distribution/manifest/", Manifest.objects.get().pk)
    admin.delete_selected("/admin/distribution/repository/", Repository.objects.get().pk)

    events = written()
    tag, manifest = of(events, "tag_deleted"), of(events, "manifest_deleted")
    repository = of(events, "repository_deleted")
    assert (tag.repository, tag.reference, tag.account, tag.credential) == ("alice/app", "v1", "root", "session")
    assert (manifest.repository, manifest.digest) == ("alice/app", image.digest)
    assert repository.repository == "alice/app"


def test_the_logins_of_the_admin_and_the_pages(cast: None, root: Account, written: Written) -> None:  # noqa: F811
    browser = Browser()
    browser.log_in("root", "wrong")
    browser.log_in("root", "the password of root")

    events = written()
    assert of(events, "login_refused").detail == "login refused, to the admin"
    assert (of(events, "login").account, of(events, "login").detail) == ("root", "login to the admin")


def test_an_own_new_password(cast: None, root: Account, written: Written) -> None:  # noqa: F811
    browser, old, new = Browser(), "the password of root", "another password of root"
    browser.log_in("root", old)
    fields = {"old_password": old, "new_password1": new, "new_password2": new}
    browser.submit("/admin/password_change/", **fields)
    browser.submit("/account", **(fields | {"old_password": new, "new_password1": old, "new_password2": old}))

    changes = [event for event in written() if event.kind == "password"]
    assert [(event.account, event.reference) for event in changes] == [("root", "account root")] * 2


def test_a_second_factor(admin: Browser, written: Written) -> None:  # noqa: F811
    page = admin.text("/admin/second-factor/")
    found = re.search(r"((?:[A-Z2-7]{4} ){7}[A-Z2-7]{4})", page)
    assert found is not None
    admin.submit("/admin/second-factor/", code=code_of(found[1], time.time()))
    call_command("removesecondfactor", "root", skip_checks=True)

    done = [(event.detail, event.account, event.credential) for event in written() if event.kind == "second_factor"]
    assert done == [("second factor set up", "root", "session"), ("second factor removed", "", "command")]


def test_a_revoked_docker_login(admin: Browser, alice: Caller, written: Written) -> None:  # noqa: F811
    alice.ask_token(offline_token="true", client_id="docker")
    row = RefreshToken.objects.get()
    for _ in range(2):
        admin.post("/admin/tokens/refreshtoken/", {"action": "revoke", "_selected_action": [str(row.pk)]})

    event = of(written(), "login_revoked")
    assert (event.account, event.reference) == ("root", "account alice")
    assert event.detail == f"the login of docker from {ADDRESS}"


def test_a_collection(admin: Browser, written: Written, django_capture_on_commit_callbacks: Capture) -> None:  # noqa: F811
    admin.submit("/admin/gc/run/add/", remove_untagged="on")
    due.run_due()
    call_command("gc", skip_checks=True)

    by_schedule, by_admin, by_command = [event for event in written() if event.kind == "collection"]
    assert by_schedule.credential == "schedule"
    assert (by_admin.account, by_admin.credential) == ("root", "session")
    assert by_admin.detail == "done: removed 0 manifests, 0 links, 0 blobs, 0 uploads; 0 B freed"
    assert (by_command.account, by_command.credential) == ("", "command")
    assert "started by" in by_command.detail


def test_commands(push: Callable[..., Image], written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    push("alice/app", "v1")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "the password of boss")
    call_command("createsuperuser", name="boss", interactive=False, skip_checks=True)
    call_command("deleterepository", "alice/app", yes=True, skip_checks=True)
    call_command("rotatekey", skip_checks=True)

    events = [event for event in written() if event.credential == "command"]
    assert [event.kind for event in events] == ["change", "repository_deleted", "key_rotated"]
    assert (events[0].reference, events[0].detail) == ("account boss", "added: a superuser")
    assert (events[1].repository, events[1].detail) == ("alice/app", "1 tag, 1 manifest")
    assert events[2].reference


def test_nothing_is_recorded_while_it_is_off(alice: Caller, push: Callable[..., Image]) -> None:
    push()

    assert not Event.objects.exists()


def test_what_is_changed_on_the_pages(push: Callable[..., Image], written: Written) -> None:
    first, second = push("alice/app", "v1"), push("alice/app", "v1", b"another layer")
    pages = signed_in("alice")
    pages.post("/repositories/alice/app/-/v1/rollback", {"digest": first.digest})
    pages.post("/repositories/alice/app/~/description", {"description": "Of alice", "save": "1"})
    pages.post("/repositories/alice/app/-/v1/delete")
    pages.post(f"/repositories/alice/app/-/{second.digest}/delete")

    events = written()
    rolled_back = of(events, "tag_rolled_back")
    assert (rolled_back.account, rolled_back.credential, rolled_back.reference) == ("alice", "session", "v1")
    assert rolled_back.digest == first.digest
    assert of(events, "description").repository == "alice/app"
    assert of(events, "tag_deleted").credential == "session"
    assert of(events, "manifest_deleted").digest == second.digest


@pytest.mark.usefixtures("cast")
def test_an_access_token_is_made_used_and_revoked(written: Written) -> None:
    pages = signed_in("alice")
    page = pages.post("/account/tokens", {"name": "ci"}).content.decode()
    token = page[page.index(secret.PREFIX) :][:50]
    Caller(Client(), "alice", token).ask_token("repository:alice/app:pull")
    pages.post("/account/tokens/revoke", {"token": str(AccessToken.objects.get().pk)})

    events = written()
    made, revoked = [event for event in events if event.kind == "access_token"]
    assert (made.account, made.detail) == ("alice", "access token ci created")
    assert revoked.detail == "access token ci revoked"
    assert of(events, "token").credential == "access token ci"
    assert "access token" in [event.credential for event in events if event.kind == "login"]
    assert token not in str([vars(event) for event in events])


def test_the_kinds_here_are_all_kinds() -> None:
    # The import of a file is in test_server.py.
    text = Path(__file__).read_text()
    assert [kind for kind in Kind.values if json.dumps(kind) not in text] == [Kind.IMPORT]
