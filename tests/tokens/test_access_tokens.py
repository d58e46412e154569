"""Access tokens: a password for machines that is limited, expires, and is revoked at once."""

from datetime import timedelta
from typing import Any

import bcrypt
import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils.timezone import now

from accounts import permissions_version
from accounts.models import Account, FailedLogin
from acl.models import Rule
from tests.caller import Caller
from tests.conftest import hashed
from tests.images import push_blob, push_image
from tests.tokens.test_oauth import with_password
from tests.web.test_pages import signed_in, text_of
from tokens.access import secret, store
from tokens.models import AccessToken, RefreshToken


def made(account: str = "alice", *scopes: str, name: str = "ci", **more: Any) -> str:
    """Make a token and return it."""
    return store.create(Account.objects.get(name=account), name, scopes, **more)[1]


def holder(token: str, account: str = "alice") -> Caller:
    """Speak as a client that has the token in place of a password."""
    return Caller(Client(), account, token)


@pytest.mark.usefixtures("cast")
def test_a_token_is_a_password_of_its_account() -> None:
    push_image(holder(made()), "alice/app", "v1")


@pytest.mark.usefixtures("cast")
def test_no_password_is_hashed_for_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    token = made()

    def refuse(*_arguments: object) -> bool:
        raise AssertionError("bcrypt")

    monkeypatch.setattr(bcrypt, "checkpw", refuse)
    monkeypatch.setattr(bcrypt, "hashpw", refuse)

    assert holder(token).ask_token("repository:alice/app:pull").status_code == 200
    assert holder(token[:-1] + "x").ask_token("repository:alice/app:pull").status_code != 200


@pytest.mark.usefixtures("cast")
def test_a_token_is_of_one_account() -> None:
    assert holder(made(), "bob").ask_token().status_code == 401
    assert not FailedLogin.objects.exists()


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize(
    ("scope", "name", "allowed"),
    [
        ("alice/app:pull", "alice/app", {"pull"}),
        ("alice/app:*", "alice/app", {"pull", "push", "delete"}),
        ("alice/*:push,pull", "alice/app", {"pull", "push"}),
        ("alice/app:pull", "alice/other", set()),
        ("*:pull", "bob/app", set()),
    ],
)
def test_a_scope_limits_what_is_granted(scope: str, name: str, allowed: set[str]) -> None:
    body = holder(made("alice", scope)).ask_token(f"repository:{name}:pull,push,delete").json()

    granted = body["scope"].rpartition(":")[2].split(",") if body["scope"] else []
    assert set(granted) == allowed


@pytest.mark.usefixtures("cast")
def test_the_limit_is_that_of_the_token_at_each_request(alice: Caller) -> None:
    push_image(alice, "alice/app", "v1")
    push_image(alice, "alice/other", "v1")
    limited = holder(made("alice", "alice/app:pull"))

    assert limited.get("/v2/alice/app/manifests/v1").status_code == 200
    assert limited.get("/v2/alice/other/manifests/v1").status_code == 401
    assert limited.put("/v2/alice/app/manifests/v2", b"{}").status_code == 401
    for path in ("tags/list", "referrers/sha256:" + "a" * 64):
        assert limited.get(f"/v2/alice/other/{path}").status_code == 401
    for method, path in (("DELETE", "manifests/v1"), ("POST", "blobs/uploads/")):
        assert limited.send(method, f"/v2/alice/app/{path}").status_code == 401


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize("pattern", ["*", "alice/*", "*/app", "alice/app"])
def test_the_catalog_of_a_limited_token_has_only_its_names(alice: Caller, pattern: str) -> None:
    for name in ("alice/app", "alice/other", "alice/zoo"):
        push_image(alice, name, "v1")
    Rule.objects.create(subject_kind="account", subject="alice", name=pattern, actions="pull")
    limited, catalog = holder(made("alice", "alice/app:pull", "alice/zoo:pull")), ("registry:catalog:*",)

    whole = limited.get("/v2/_catalog", scopes=catalog).json()["repositories"]
    starts = ("", *whole)
    pages = [limited.get(f"/v2/_catalog?n=1&last={last}", scopes=catalog).json()["repositories"] for last in starts]

    assert whole == ["alice/app", "alice/zoo"]
    assert pages == [["alice/app"], ["alice/zoo"], []]


@pytest.mark.usefixtures("cast")
def test_a_blob_is_mounted_only_from_within_the_scope(alice: Caller) -> None:
    digest = push_blob(alice, "alice/secret", b"a private layer")
    limited = holder(made("alice", "alice/app:pull,push"))
    scopes = ("repository:alice/app:pull,push", "repository:alice/secret:pull")

    for query in (f"mount={digest}&from=alice/secret", f"mount={digest}"):
        assert limited.post(f"/v2/alice/app/blobs/uploads/?{query}", scopes=scopes).status_code == 202


@pytest.mark.usefixtures("cast")
def test_an_upload_does_not_outlive_the_access_token() -> None:
    limited = holder(made())
    location = limited.post("/v2/alice/app/blobs/uploads/").headers["Location"]
    scopes = ("repository:alice/app:pull,push",)
    assert limited.patch(location, b"begun", scopes=scopes).status_code == 202

    store.revoke(AccessToken.objects.all())

    assert limited.patch(location, b"more", scopes=scopes).status_code == 401


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize("name", ["alice\0", "", "é" * 200])
def test_an_odd_name_has_no_token(name: str) -> None:
    assert store.identify(name, secret.generate()) is None


@pytest.mark.usefixtures("cast")
def test_a_refused_login_is_no_use() -> None:
    token = made()
    Account.objects.filter(name="alice").update(is_active=False)

    assert holder(token).ask_token().status_code == 401

    assert AccessToken.objects.get().used_at is None


@pytest.mark.usefixtures("cast")
def test_an_account_has_a_bounded_number_of_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_PER_ACCOUNT", 2)
    made(name="a")
    made(name="b")
    with pytest.raises(ValidationError, match="at most 2"):
        made(name="c")

    store.revoke(AccessToken.objects.filter(name="a"))

    assert secret.has_checksum(made(name="c"))


@pytest.mark.usefixtures("cast")
def test_a_token_that_ended_long_ago_is_forgotten() -> None:
    made(name="old")
    long_ago = now() - timedelta(days=100)
    AccessToken.objects.update(created_at=long_ago, expires_at=long_ago)

    made(name="new")

    assert [row.name for row in AccessToken.objects.all()] == ["new"]


@pytest.mark.usefixtures("cast")
def test_a_new_token_takes_nothing_from_the_caches() -> None:
    before = permissions_version.current()
    made()
    assert permissions_version.current() == before

    store.revoke(AccessToken.objects.all())

    assert permissions_version.current() != before


@pytest.mark.usefixtures("cast")
def test_a_token_allows_no_more_than_its_account_may_now() -> None:
    caller = holder(made("alice", "alice/*:*"))
    push_image(caller, "alice/app", "v1")

    Rule.objects.filter(subject="alice").delete()

    assert caller.get("/v2/alice/app/manifests/v1").status_code == 401


ENDS = ["revoked", "expired", "deleted", "password changed", "account deactivated", "account deleted"]


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize("how", ENDS)
def test_an_ended_token_ends_what_was_issued_for_it(alice: Caller, how: str) -> None:
    push_image(alice, "alice/app", "v1")
    caller = holder(made())
    assert caller.get("/v2/alice/app/manifests/v1").status_code == 200
    rows = AccessToken.objects.all()

    if how == "revoked":
        store.revoke(rows)
    elif how == "expired":
        rows.update(expires_at=now() - timedelta(seconds=1))
    elif how == "deleted":
        rows.delete()
    elif how == "password changed":
        Account.objects.filter(name="alice").update(password=hashed("another password"))
    elif how == "account deactivated":
        Account.objects.filter(name="alice").update(is_active=False)
    else:
        Account.objects.filter(name="alice").delete()

    assert caller.get("/v2/alice/app/manifests/v1").status_code == 401
    assert caller.ask_token().status_code == 401


@pytest.mark.usefixtures("cast")
def test_a_bearer_token_does_not_outlive_the_access_token() -> None:
    soon = made(lifetime=timedelta(seconds=100))

    assert holder(soon).ask_token("repository:alice/app:pull").json()["expires_in"] <= 100


@pytest.mark.usefixtures("cast")
def test_an_access_token_gives_no_refresh_token() -> None:
    response = with_password(holder(made()), access_type="offline")

    assert response.status_code == 200
    assert "refresh_token" not in response.json()
    assert not RefreshToken.objects.exists()


@pytest.mark.usefixtures("cast")
def test_an_access_token_opens_no_page() -> None:
    token = made()

    answer = Client().post("/login", {"username": "alice", "password": token})

    assert answer.status_code == 200
    assert "registry_login" not in answer.cookies


@pytest.mark.usefixtures("cast")
def test_only_a_hash_is_stored_and_the_use_is_noted() -> None:
    token = made()
    row = AccessToken.objects.get()
    assert token not in str(vars(row))
    assert row.used_at is None

    holder(token).ask_token()

    used = AccessToken.objects.get()
    assert used.used_at is not None
    assert used.used_from == "127.0.0.1"


def test_a_token_has_a_checksum() -> None:
    token = secret.generate()

    assert secret.has_checksum(token)
    assert len(token) == 50
    assert not secret.has_checksum(token[:-1] + ("a" if token[-1] != "a" else "b"))
    assert not secret.has_checksum(token + "a")
    assert secret.generate() != token


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize(
    "scope",
    [
        "alice/app",
        "alice/app:",
        ":pull",
        "alice/app:fly",
        "alice/[:pull",
        "repository:alice/app:pull",
        "${account}/*:pull",
        "a" * 300 + ":pull",
    ],
)
def test_a_wrong_scope_is_refused(scope: str) -> None:
    with pytest.raises(ValidationError):
        made("alice", scope)

    assert not AccessToken.objects.exists()


@pytest.mark.usefixtures("cast")
def test_a_name_is_used_once_at_a_time() -> None:
    made()
    with pytest.raises(ValidationError, match="revoke it first"):
        made()
    made("bob")

    store.revoke(AccessToken.objects.all())

    assert secret.has_checksum(made())


@pytest.mark.usefixtures("cast")
def test_the_longest_lifetime_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    auth = settings.REGISTRY.auth
    object.__setattr__(auth, "access_token_max_lifetime", timedelta(days=30))
    try:
        with pytest.raises(ValidationError, match="at most 720h"):
            made(lifetime=timedelta(days=31))
        made()
    finally:
        object.__setattr__(auth, "access_token_max_lifetime", None)

    assert AccessToken.objects.get().expires_at < now() + timedelta(days=30, seconds=1)


@pytest.mark.usefixtures("cast")
def test_the_commands_make_and_revoke_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("createtoken", "alice", "--name", "ci", "--scope", "alice/*:push,pull", "--expires", "30d")

    token = capsys.readouterr().out.strip()
    row = AccessToken.objects.get()
    assert row.scopes == ["alice/*:pull,push"]
    assert timedelta(days=29) < row.expires_at - now() < timedelta(days=31)
    assert holder(token).ask_token().status_code == 200
    call_command("revoketoken", "alice", "--name", "ci")
    assert holder(token).ask_token().status_code == 401


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("createtoken", "nobody", "--name", "ci"), "no account"),
        (("createtoken", "alice", "--name", "ci", "--scope", "x"), "is not valid"),
        (("createtoken", "alice", "--name", "ci", "--expires", "soon"), "or days"),
        (("createtoken", "alice", "--name", "ci", "--expires", "0d"), "at least a minute"),
        (("revoketoken", "alice", "--name", "ci"), "no valid access token named ci"),
        (("revoketoken", "alice", "--all"), "no valid access token"),
    ],
)
def test_a_command_that_can_do_nothing_says_why(command: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        call_command(*command)


@pytest.mark.usefixtures("cast")
def test_the_page_makes_a_token_shows_it_once_and_revokes_it() -> None:
    client = signed_in("alice")
    made("bob", name="of-bob")

    answer = client.post("/account/tokens", {"name": "ci", "scopes": "alice/app:pull\n\n", "days": "7"})

    shown = answer.content.decode()
    token = shown[shown.index(secret.PREFIX) :][:50]
    row = AccessToken.objects.get(name="ci")
    assert (row.account.name, row.scopes, row.created_by) == ("alice", ["alice/app:pull"], "alice")
    assert holder(token).ask_token().status_code == 200
    page = text_of(client, "/account/tokens")
    assert "ci" in page
    assert token not in page
    assert "of-bob" not in page
    client.post("/account/tokens/revoke", {"token": str(AccessToken.objects.get(name="of-bob").pk)})
    client.post("/account/tokens/revoke", {"token": str(row.pk)})
    assert holder(token).ask_token().status_code == 401
    assert AccessToken.objects.get(name="of-bob").revoked_at is None


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize(
    "fields", [{}, {"name": "x", "scopes": "nonsense"}, {"name": "x", "days": "0"}, {"name": "x", "days": "99999"}]
)
def test_the_page_refuses_a_wrong_form_and_makes_nothing(fields: dict[str, str]) -> None:
    answer = signed_in("alice").post("/account/tokens", fields)

    assert answer.status_code == 200
    assert 'class="errorlist' in answer.content.decode()
    assert not AccessToken.objects.exists()


@pytest.mark.usefixtures("cast")
def test_a_reload_makes_no_other_token() -> None:
    client = signed_in("alice")

    def nonce_of(page: str) -> str:
        return page.partition('name="nonce" value="')[2].partition('"')[0]

    fields = {"name": "ci", "scopes": "", "days": "", "nonce": nonce_of(text_of(client, "/account/tokens"))}

    first = client.post("/account/tokens", fields)
    again = client.post("/account/tokens", fields, follow=True)
    another = client.post("/account/tokens", fields | {"name": "other", "nonce": nonce_of(first.content.decode())})

    assert "can't be shown again" in first.content.decode()
    assert "no other token was made" in again.content.decode()
    assert "can't be shown again" in another.content.decode()
    assert AccessToken.objects.count() == 2
