"""Rules by tag at the registry: what a push, a deletion, a page and the API may do to which tags."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Account
from acl.models import Rule
from audit.kinds import Kind
from distribution.models import Tag
from tests.api.asking import ask
from tests.audit.conftest import Written, queue, written  # noqa: F401 - fixtures
from tests.caller import Caller, error_codes
from tests.images import Image, digest_of, index, push_blob, push_image
from tests.web.test_pages import signed_in, text_of
from tokens.access import store

Push = Callable[..., Image]
APP = "/v2/alice/app/manifests"


def rule(**values: Any) -> Rule:
    given = {"subject_kind": "account", "subject": "bob", "name": "alice/*", "actions": "push,delete", "tags": "dev-*"}
    return Rule.objects.create(**given | values)


def tags() -> set[str]:
    return set(Tag.objects.values_list("name", flat=True))


def put(caller: Caller, reference: str, image: Image) -> Any:
    return caller.put(f"{APP}/{reference}", image.payload, content_type="application/vnd.oci.image.manifest.v1+json")


def denied(response: Any) -> str:
    """Return the message of a 403."""
    assert (response.status_code, error_codes(response)) == (403, ["DENIED"])
    return str(json.loads(response.content)["errors"][0]["message"])


def test_a_tag_that_matches_is_pushed_and_another_is_denied(bob: Caller, push: Push) -> None:
    image = push()
    rule()

    push_image(bob, "alice/app", "dev-1", b"of bob")
    message = denied(put(bob, "v1", image))

    assert message == (
        "bob may not push alice/app:v1: the rule is 'bob may push and delete alice/*, but push and delete only tags "
        "dev-*'"
    )
    assert tags() == {"v1", "dev-1"}


@pytest.mark.parametrize("reference", ["DEV-1", "dev", "dev-1?tag=v1", "{digest}?tag=v1", "{digest}?tag=dev-1&tag=v2"])
def test_no_way_of_a_push_reaches_another_tag(bob: Caller, push: Push, reference: str) -> None:
    image = push("alice/app", "first")
    rule()

    denied(put(bob, reference.format(digest=image.digest), image))

    assert tags() == {"first"}


def test_a_refused_push_is_recorded_with_its_rule(
    bob: Caller,
    push: Push,
    written: Written,  # noqa: F811 - the fixture
) -> None:
    image = push()
    rule()

    put(bob, "v1", image)

    (event,) = [event for event in written() if event.kind == Kind.DENIAL]
    assert (event.account, event.repository) == ("bob", "alice/app")
    assert "but push and delete only tags dev-*" in event.detail


def test_an_index_is_pushed_with_its_images_by_digest(bob: Caller, push: Push) -> None:
    image = push()
    rule()
    listing = index(image.payload)

    assert put(bob, image.digest, image).status_code == 201
    kind = "application/vnd.oci.image.index.v1+json"
    assert bob.put(f"{APP}/dev-all", listing, content_type=kind).status_code == 201
    assert bob.put(f"{APP}/all", listing, content_type=kind).status_code == 403


def test_a_pull_is_never_limited_by_tags(bob: Caller, push: Push) -> None:
    push()
    Rule.objects.filter(subject="bob").delete()
    rule(actions="pull,push")

    assert bob.get(f"{APP}/v1").status_code == 200


def test_a_deletion_of_another_tag_is_denied(bob: Caller, push: Push) -> None:
    push("alice/app", "v1", b"one")
    push("alice/app", "dev-1", b"two")
    rule()

    denied(bob.delete(f"{APP}/v1"))
    assert bob.delete(f"{APP}/dev-1").status_code == 202
    assert tags() == {"v1"}


def test_by_digest_all_of_its_tags_have_to_be_allowed(bob: Caller, alice: Caller, push: Push) -> None:
    image = push("alice/app", "dev-1")
    put(alice, "v1", image)
    rule()

    assert "alice/app:v1" in denied(bob.delete(f"{APP}/{image.digest}"))
    alice.delete(f"{APP}/v1")
    assert bob.delete(f"{APP}/{image.digest}").status_code == 202


def test_what_has_no_tag_is_deleted_by_a_rule_without_tags(bob: Caller, alice: Caller, push: Push) -> None:
    image = push("alice/app", "v1")
    alice.delete(f"{APP}/v1")
    limited = rule()

    denied(bob.delete(f"{APP}/{image.digest}"))
    Rule.objects.filter(pk=limited.pk).update(tags="")
    assert bob.delete(f"{APP}/{image.digest}").status_code == 202


def test_a_blob_is_deleted_by_a_rule_without_tags(bob: Caller, alice: Caller, push: Push) -> None:
    push()
    digest = push_blob(alice, "alice/app", b"of nobody")
    limited = rule()

    denied(bob.delete(f"/v2/alice/app/blobs/{digest}"))
    Rule.objects.filter(pk=limited.pk).update(tags="")
    assert bob.delete(f"/v2/alice/app/blobs/{digest}").status_code == 202


def test_a_denied_tag_is_denied_to_who_may_everything_else(alice: Caller, push: Push) -> None:
    image = push("alice/app", "v1")
    rule(subject_kind="anonymous", subject="", is_deny=True, tags="v*")

    assert put(alice, "latest", image).status_code == 201
    assert denied(put(alice, "v2", image)) == (
        "alice may not push alice/app:v2: denied by the rule 'everybody may not push or delete tags v* of alice/*'"
    )
    assert "alice/app:v1" in denied(alice.delete(f"{APP}/{image.digest}"))
    assert tags() == {"v1", "latest"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "repositories/alice/app/-/tags/v1", {"digest": "{new}"}),
        ("DELETE", "repositories/alice/app/-/tags/v1", None),
        ("DELETE", "repositories/alice/app/-/manifests/{old}", None),
        ("DELETE", "repositories/alice/app", None),
        ("PUT", "repositories/alice/app/-/description", {"description": "mine"}),
    ],
)
def test_the_api_refuses_what_v2_refuses(bob: Caller, push: Push, method: str, path: str, body: Any) -> None:
    old, new = push("alice/app", "v1", b"old"), push("alice/app", "dev-1", b"new")
    rule(actions="*")
    sent = json.loads(json.dumps(body).replace("{new}", new.digest)) if body else None

    response = ask(bob, method, path.format(old=old.digest), sent)

    assert response.status_code == 403, response.content
    assert "only tags dev-*" in response.json()["detail"]
    assert set(Tag.objects.values_list("name", "manifest__digest")) == {("v1", old.digest), ("dev-1", new.digest)}


def test_the_api_does_what_the_rule_allows(bob: Caller, push: Push) -> None:
    old = push("alice/app", "v1", b"old")
    rule(actions="*")

    made = ask(bob, "PUT", "repositories/alice/app/-/tags/dev-2", {"digest": old.digest})

    assert made.status_code == 201
    assert ask(bob, "DELETE", "repositories/alice/app/-/tags/dev-2").status_code == 204


def test_the_pages_refuse_what_v2_refuses(push: Push) -> None:
    old, new = push("alice/app", "v1", b"old"), push("alice/app", "v1", b"new")
    rule(actions="*")
    bob, page = signed_in("bob"), "/repositories/alice/app"

    rolled = bob.post(f"{page}/-/v1/rollback", {"digest": old.digest}, follow=True).content.decode()
    deleted = bob.post(f"{page}/-/v1/delete", follow=True).content.decode()
    by_digest = bob.post(f"{page}/-/{new.digest}/delete", follow=True).content.decode()

    assert all("Nothing was changed: bob may not" in text for text in (rolled, deleted, by_digest))
    assert bob.get(f"{page}/~/delete").status_code == 403
    assert set(Tag.objects.values_list("name", "manifest__digest")) == {("v1", new.digest)}


def test_a_page_says_which_tags_and_has_no_link_to_what_is_refused(push: Push) -> None:
    push("alice/app", "v1", b"old")
    push("alice/app", "dev-1", b"new")
    rule(actions="*")

    text = text_of(signed_in("bob"), "/repositories/alice/app")

    assert "but push and delete only tags dev-*" in text
    assert 'aria-label="Delete dev-1"' in text
    assert 'aria-label="Delete v1"' not in text
    assert "Delete the repository" not in text


def from_address(address: str) -> dict[str, Any]:
    return {"meta": {"REMOTE_ADDR": address}}


def test_a_token_of_one_network_is_worth_nothing_in_another(bob: Caller, push: Push) -> None:
    push()
    Rule.objects.filter(subject="bob").update(networks="10.0.0.0/8")
    inside = str(
        bob.client.get(
            "/v2/token?service=Docker%20Registry&scope=repository:alice/app:pull",
            headers={"Authorization": bob.basic},
            REMOTE_ADDR="10.1.2.3",
        ).json()["token"]
    )

    assert bob.get(f"{APP}/v1", token=inside, **from_address("10.9.9.9")).status_code == 200
    assert bob.get(f"{APP}/v1", token=inside, **from_address("::ffff:10.9.9.9")).status_code == 200
    assert bob.get(f"{APP}/v1", token=inside, **from_address("192.0.2.1")).status_code == 401
    assert bob.get(f"{APP}/v1", **from_address("10.1.2.3")).status_code == 401, "issued at 127.0.0.1"


def test_a_forged_header_is_no_address(bob: Caller, push: Push) -> None:
    push()
    Rule.objects.filter(subject="bob").update(networks="10.0.0.0/8")

    response = bob.get(f"{APP}/v1", headers={"X-Forwarded-For": "10.1.2.3"}, **from_address("192.0.2.1"))

    assert response.status_code == 401


def test_pages_and_api_know_the_network_too(bob: Caller, push: Push) -> None:
    push()
    Rule.objects.filter(subject="bob").update(networks="10.0.0.0/8")

    assert signed_in("bob").get("/repositories/alice/app").status_code == 404
    assert signed_in("bob").get("/repositories/alice/app", REMOTE_ADDR="10.1.2.3").status_code == 200
    assert ask(bob, "GET", "repositories/alice/app").status_code == 404


def test_a_denied_repository_is_in_no_list_and_no_source_of_a_mount(alice: Caller, push: Push) -> None:
    push("alice/app")
    push("alice/secret", "v1", b"hidden layer")
    rule(subject="alice", name="alice/secret", actions="pull", is_deny=True, tags="")

    names = json.loads(alice.get("/v2/_catalog", scopes=["registry:catalog:*"]).content)["repositories"]
    mounted = alice.post(f"/v2/alice/app/blobs/uploads/?mount={digest_of(b'hidden layer')}", scopes=_BOTH)

    assert names == ["alice/app"]
    assert mounted.status_code == 202
    assert "alice/secret" not in text_of(signed_in("alice"), "/")


_BOTH = ["repository:alice/app:pull,push,delete", "repository:alice/secret:pull"]


def test_superusers_are_denied_too_and_the_admin_stays_open(push: Push, alice: Caller) -> None:
    push()
    Account.objects.filter(name="alice").update(is_superuser=True, is_staff=True)
    rule(subject_kind="anonymous", subject="", name="*", actions="*", is_deny=True, tags="")

    assert alice.get(f"{APP}/v1").status_code == 401
    assert signed_in("alice").get("/admin/acl/rule/").status_code == 200


def test_an_access_tokens_scopes_do_not_undo_a_denial(push: Push, alice: Caller) -> None:
    push()
    _, secret = store.create(Account.objects.get(name="alice"), "ci", ["alice/*:*"])
    rule(subject="alice", actions="push", is_deny=True, tags="")

    granted = Caller(alice.client, "alice", secret).ask_token("repository:alice/app:pull,push").json()["scope"]

    assert granted == "repository:alice/app:pull"
