"""A right that is removed is gone at the next request, though its token is still good; one that is added counts."""

import hashlib
import json
import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction

from accounts.models import Account
from acl.models import Rule
from tests.caller import Caller
from tests.conftest import PASSWORDS, hashed
from tests.images import Image
from tests.security import forge

SCOPE = "repository:alice/app:pull,push,delete"
MANIFEST = "/v2/alice/app/manifests/v1"


def bobs_rule() -> Rule:
    return Rule.objects.get(subject="bob")


def save_another_pattern() -> None:
    rule = bobs_rule()
    rule.name = "other/*"
    rule.save()


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def set_password(password: str | None) -> None:
    account = Account.objects.get(name="bob")
    account.set_password(password)
    account.save()


def make_again() -> None:
    stored = Account.objects.get(name="bob").password
    Account.objects.filter(name="bob").delete()
    Account.objects.create(name="bob", password=stored)


REMOVALS: dict[str, Callable[[], object]] = {
    "deleted": lambda: bobs_rule().delete(),
    "saved with another pattern": save_another_pattern,
    "updated by a query": lambda: Rule.objects.filter(subject="bob").update(name="other/*"),
    "given to somebody else": lambda: Rule.objects.filter(subject="bob").update(subject="charlie"),
    "given to a group of the same name": lambda: Rule.objects.filter(subject="bob").update(subject_kind="group"),
    "deleted by a query": lambda: Rule.objects.filter(subject="bob").delete(),
    "deleted in raw SQL": lambda: execute("DELETE FROM acl_rule WHERE subject = 'bob'"),
    "made unsound": lambda: Rule.objects.filter(subject="bob").update(actions="fly"),
    "account deactivated": lambda: Account.objects.filter(name="bob").update(is_active=False),
    "account deactivated in raw SQL": lambda: execute("UPDATE accounts_account SET is_active = NOT is_active"),
    "account deleted": lambda: Account.objects.filter(name="bob").delete(),
    "password changed": lambda: Account.objects.filter(name="bob").update(password=hashed("another password")),
    "password set by the account's form": lambda: set_password("another password"),
    "the same password set again": lambda: set_password(PASSWORDS["bob"]),
    "password taken away": lambda: set_password(None),
    "deleted and made again with the same password": make_again,
    "account renamed": lambda: Account.objects.filter(name="bob").update(name="robert"),
}


@pytest.fixture
def token(bob: Caller, push: Callable[..., Image]) -> str:
    """Return a token of bob for alice/app that has just been used."""
    push("alice/app", "v1")
    token = bob.token(SCOPE)
    assert bob.get(MANIFEST, token=token).status_code == 200
    return token


@pytest.mark.parametrize("way", REMOVALS)
def test_a_removed_right_is_gone_at_the_next_request(way: str, bob: Caller, token: str) -> None:
    REMOVALS[way]()

    assert bob.get(MANIFEST, token=token).status_code == 401
    assert bob.head(MANIFEST, token=token).status_code == 401


def test_who_changed_the_password_logs_in_and_goes_on(bob: Caller, token: str) -> None:
    set_password("another password")
    again = Caller(bob.client, "bob", "another password")

    assert bob.get(MANIFEST, token=again.token(SCOPE)).status_code == 200
    assert bob.get(MANIFEST, token=token).status_code == 401


def test_a_changed_password_ends_an_upload_that_its_token_began(alice: Caller) -> None:
    token = alice.token("repository:alice/app:pull,push")
    session = alice.post("/v2/alice/app/blobs/uploads/", token=token)["Location"]

    Account.objects.filter(name="alice").update(password=hashed("another password"))

    assert (
        alice.client.patch(
            session, b"x", "application/octet-stream", headers={"Authorization": f"Bearer {token}"}
        ).status_code
        == 401
    )


def test_a_token_of_the_version_before_counts_until_it_expires(bob: Caller, token: str) -> None:
    """It names no password; it lives for half an hour, and the next one names it."""
    earlier = forge.signed(forge.claims())

    set_password("another password")

    assert bob.get(MANIFEST, token=earlier).status_code == 200


def test_other_changes_of_the_account_end_no_token(bob: Caller, token: str) -> None:
    Account.objects.filter(name="bob").update(is_staff=True)

    assert bob.get(MANIFEST, token=token).status_code == 200


def test_a_token_tells_no_hash_of_the_password(bob: Caller, token: str) -> None:
    stored = Account.objects.get(name="bob").password

    claims = json.loads(forge.decoded(token.split(".")[1]))

    assert re.fullmatch("[0-9a-f]{16}", claims["credential"])
    assert claims["credential"] not in (stored, hashlib.sha256(stored.encode()).hexdigest()[:16])


def test_a_right_that_comes_back_counts_at_the_next_request(bob: Caller, token: str) -> None:
    rule = bobs_rule()
    rule.delete()
    assert bob.get(MANIFEST, token=token).status_code == 401

    Rule.objects.create(subject_kind="account", subject="bob", name="alice/*", actions="pull")

    assert bob.get(MANIFEST, token=token).status_code == 200


def test_an_account_that_is_active_again_uses_its_token_again(bob: Caller, token: str) -> None:
    Account.objects.filter(name="bob").update(is_active=False)
    assert bob.get(MANIFEST, token=token).status_code == 401

    Account.objects.filter(name="bob").update(is_active=True)

    assert bob.get(MANIFEST, token=token).status_code == 200


def test_a_token_for_pull_does_not_push_after_push_was_allowed(bob: Caller, token: str) -> None:
    Rule.objects.filter(subject="bob").update(actions="*")

    assert bob.post("/v2/alice/app/blobs/uploads/", token=token).status_code == 401
    assert bob.delete(MANIFEST, token=token).status_code == 401


def test_a_token_for_one_repository_does_not_read_another_that_is_allowed(alice: Caller, bob: Caller) -> None:
    token = bob.token("repository:alice/other:pull")

    assert bob.get("/v2/alice/app/tags/list", token=token).status_code == 401


def test_a_change_that_is_rolled_back_removes_nothing(bob: Caller, token: str) -> None:
    with transaction.atomic():
        bobs_rule().delete()
        inside = bob.get(MANIFEST, token=token).status_code
        transaction.set_rollback(True)

    assert inside == 401
    assert bob.get(MANIFEST, token=token).status_code == 200


@pytest.fixture
def member(charlie: Caller, push: Callable[..., Image]) -> str:
    """Return a token of charlie, whose group may pull alice/app, that has just been used."""
    push("alice/app", "v1")
    Account.objects.get(name="charlie").groups.add(Group.objects.create(name="team"))
    Rule.objects.create(subject_kind="group", subject="team", name="alice/*", actions="pull")
    token = charlie.token(SCOPE)
    assert charlie.get(MANIFEST, token=token).status_code == 200
    return token


@pytest.mark.parametrize(
    "leave",
    [
        lambda: Account.objects.get(name="charlie").groups.set([]),
        lambda: Group.objects.get(name="team").user_set.set([]),
        lambda: Group.objects.filter(name="team").delete(),
        lambda: Group.objects.filter(name="team").update(name="crew"),
        lambda: execute("DELETE FROM accounts_account_groups"),
    ],
    ids=["left", "emptied", "deleted", "renamed", "left in raw SQL"],
)
def test_a_group_that_is_left_gives_nothing_more(leave: Callable[[], object], charlie: Caller, member: str) -> None:
    leave()

    assert charlie.get(MANIFEST, token=member).status_code == 401


def test_what_everybody_loses_nobody_keeps(anonymous: Caller, push: Callable[..., Image]) -> None:
    push("public/app", "v1")
    token = anonymous.token("repository:public/app:pull")
    assert anonymous.get("/v2/public/app/manifests/v1", token=token).status_code == 200

    Rule.objects.filter(subject_kind="anonymous").delete()

    assert anonymous.get("/v2/public/app/manifests/v1", token=token).status_code == 401


def test_a_catalog_shows_what_is_allowed_now(bob: Caller, push: Callable[..., Image]) -> None:
    push("alice/app")
    push("public/app")
    token = bob.token("registry:catalog:*")
    before = bob.get("/v2/_catalog", token=token).json()

    Rule.objects.filter(subject="bob").delete()
    after = bob.get("/v2/_catalog", token=token).json()

    assert before == {"repositories": ["alice/app", "public/app"]}
    assert after == {"repositories": ["public/app"]}


def test_a_token_of_a_deleted_account_is_of_no_use_for_its_successor(alice: Caller) -> None:
    token = alice.token("repository:alice/app:pull,push")
    Account.objects.get(name="alice").delete()

    Account.objects.create_user("alice", "somebody else's password")

    assert alice.post("/v2/alice/app/blobs/uploads/", token=token).status_code == 401
