"""Pulls from repositories whose images need a signature: alice signs, and bob, who may only pull, pulls."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from acl.models import Rule
from audit.kinds import Kind
from distribution.models import Manifest
from distribution.protocol import spec
from policies.models import RequiredSignature
from tests.audit.conftest import Written, queue, written  # noqa: F401 - fixtures
from tests.caller import Caller, Response, content, error_codes
from tests.images import Image, descriptor, digest_of, index, put_manifest
from tests.policies.signatures.artifacts import Artifact, bundled, by_tag, notarized, sbom
from tests.policies.signatures.signers import KEY, certificate, certificate_pem, public_pem, signed_payload
from tests.tokens.test_access_tokens import holder, made
from upstreams.models import Proxy

OTHER = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = certificate(KEY, "signer")
OTHER_DIGEST = digest_of(b"another image")
PLACE = "/v2/alice/app/manifests/"

Require = Callable[..., RequiredSignature]
Push = Callable[..., Image]


def refusal(response: Response) -> str:
    assert (response.status_code, error_codes(response)) == (403, ["DENIED"])
    return str(response.json()["errors"][0]["message"])


SIGNATURES: dict[str, Callable[[bytes], Artifact]] = {
    "tag": lambda payload: by_tag(KEY, digest_of(payload)),
    "bundle": lambda payload: bundled(KEY, payload),
    "notation": lambda payload: notarized(KEY, [CERTIFICATE], payload),
}


@pytest.mark.parametrize("form", SIGNATURES)
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_pull_is_refused_until_a_signature_is_pushed(
    alice: Caller, bob: Caller, push: Push, require: Require, *, form: str, by: str
) -> None:
    require(keys=public_pem(KEY) + certificate_pem(CERTIFICATE))
    image = push()
    place = f"{PLACE}{'v1' if by == 'tag' else image.digest}"

    assert "it has no signature in the repository" in refusal(bob.get(place))
    assert bob.head(place).status_code == 403
    SIGNATURES[form](image.payload).push(alice, "alice/app")

    assert bob.get(place).content == image.payload
    assert bob.head(place).status_code == 200


def test_the_message_says_what_lacks_and_what_to_do(bob: Caller, push: Push, require: Require) -> None:
    policy, image = require(), push()

    response = bob.get(f"{PLACE}v1")

    assert refusal(response) == (
        f"{image.digest} of alice/app: it has no signature in the repository; images of alice/* need a signature by "
        f"a trusted key, of 1 public key (policy {policy.pk}); sign it with cosign or notation and push the signature "
        "to this repository, or ask an administrator"
    )
    assert response.json()["errors"][0]["detail"]["digest"] == image.digest


def test_other_repositories_are_pulled(bob: Caller, push: Push, require: Require) -> None:
    require("alice/*", except_repositories="alice/app")
    push()

    assert bob.get(f"{PLACE}v1").status_code == 200


@pytest.mark.parametrize(
    ("artifact", "reason"),
    [
        (lambda image: by_tag(OTHER, image.digest), "its signature is by another key"),
        (lambda image: bundled(OTHER, image.payload), "its signature is by another key"),
        (lambda image: bundled(KEY, image.payload, OTHER_DIGEST), "it signs another digest"),
        (lambda image: notarized(KEY, [CERTIFICATE], image.payload), "the policy has no certificate"),
        (lambda image: sbom(image.payload), "it has no signature in the repository"),
        (
            lambda image: replace(by_tag(KEY, OTHER_DIGEST), tag=by_tag(KEY, image.digest).tag),
            "it signs another digest",
        ),
    ],
    ids=[
        "tag by another",
        "bundle by another",
        "bundle of another",
        "no certificate",
        "no signature",
        "tag of another",
    ],
)
def test_what_is_no_signature_by_a_trusted_key_does_not_count(
    alice: Caller, bob: Caller, push: Push, require: Require, *, artifact: Callable[[Image], Artifact], reason: str
) -> None:
    require()
    artifact(push()).push(alice, "alice/app")

    assert reason in refusal(bob.get(f"{PLACE}v1"))


def test_one_of_several_signatures_is_enough(alice: Caller, bob: Caller, push: Push, require: Require) -> None:
    require()
    image = push()
    by_tag(OTHER, image.digest).push(alice, "alice/app")
    bundled(KEY, image.payload).push(alice, "alice/app")
    bundled(OTHER, image.payload).push(alice, "alice/app")

    assert bob.get(f"{PLACE}v1").status_code == 200


def test_every_policy_wants_a_signature_by_a_key_of_its_own(
    alice: Caller, bob: Caller, push: Push, require: Require
) -> None:
    require()
    require("*/app", keys=public_pem(OTHER))
    image = push()
    first = signed_payload(OTHER, image.digest)
    bundled(KEY, image.payload).push(alice, "alice/app")
    assert "images of */app" in refusal(bob.get(f"{PLACE}v1"))

    by_tag(KEY, image.digest, first).push(alice, "alice/app")

    assert bob.get(f"{PLACE}v1").status_code == 200


def test_a_deleted_signature_counts_no_more(alice: Caller, bob: Caller, push: Push, require: Require) -> None:
    require()
    image = push()
    signature = bundled(KEY, image.payload).push(alice, "alice/app")
    assert bob.get(f"{PLACE}v1").status_code == 200

    assert alice.delete(f"{PLACE}{signature.digest}").status_code == 202

    refusal(bob.get(f"{PLACE}v1"))


@pytest.mark.parametrize("change", ["delete", "move"])
def test_a_signature_that_its_tag_leaves_counts_no_more(
    alice: Caller, bob: Caller, push: Push, require: Require, change: str
) -> None:
    require()
    signature = by_tag(KEY, push().digest).push(alice, "alice/app")
    assert bob.get(f"{PLACE}v1").status_code == 200

    if change == "delete":
        assert alice.delete(f"{PLACE}{signature.tag}").status_code == 202
    else:
        push(tag=signature.tag, content=b"another layer")

    refusal(bob.get(f"{PLACE}v1"))


def test_changes_of_a_policy_count_at_once(alice: Caller, bob: Caller, push: Push, require: Require) -> None:
    bundled(KEY, push().payload).push(alice, "alice/app")
    policy = require()
    assert bob.get(f"{PLACE}v1").status_code == 200

    policy.keys = public_pem(OTHER)
    policy.save()
    assert bob.get(f"{PLACE}v1").status_code == 403
    policy.delete()

    assert bob.get(f"{PLACE}v1").status_code == 200


def test_keys_that_can_not_be_read_refuse_everything(alice: Caller, bob: Caller, push: Push, require: Require) -> None:
    policy = require()
    bundled(KEY, push().payload).push(alice, "alice/app")

    RequiredSignature.objects.filter(pk=policy.pk).update(keys="-----BEGIN PUBLIC KEY-----")

    assert "by a key that can't be read" in refusal(bob.get(f"{PLACE}v1"))


def test_a_signature_ends_with_its_certificate(alice: Caller, bob: Caller, push: Push, require: Require) -> None:
    begins_at = datetime.now(UTC) - timedelta(days=2)
    ended = certificate(KEY, 'sig"\r\nner', begins_at=begins_at, days=1)
    require(keys=certificate_pem(ended))
    image = push()
    notarized(KEY, [ended], image.payload).push(alice, "alice/app")

    message = refusal(bob.get(f"{PLACE}v1"))

    assert "is not valid now, but until" in message
    assert message.isprintable()


def test_an_index_is_signed_with_what_it_lists(alice: Caller, bob: Caller, push: Push, require: Require) -> None:
    require()
    child = push(tag="child")
    inner = index(child.payload)
    outer = index(manifests=[descriptor(inner, spec.OCI_INDEX)])
    for tag, payload in (("inner", inner), ("outer", outer)):
        put_manifest(alice, "alice/app", tag, payload)
    references = ("outer", digest_of(inner), child.digest)
    assert [bob.get(f"{PLACE}{one}").status_code for one in references] == [403, 403, 403]

    signature = bundled(KEY, outer).push(alice, "alice/app")

    assert [bob.get(f"{PLACE}{one}").status_code for one in references] == [200, 200, 200]
    assert alice.delete(f"{PLACE}{digest_of(outer)}").status_code == 202
    assert [bob.get(f"{PLACE}{one}").status_code for one in references] == [404, 403, 403]
    # The signature outlives its subject.
    assert Manifest.objects.filter(digest=signature.digest).exists()


def test_who_may_push_is_only_warned(alice: Caller, push: Push, require: Require) -> None:
    require()
    push()

    response = alice.get(f"{PLACE}v1", scopes=["repository:alice/app:pull"])

    assert response.status_code == 200
    assert response["Warning"].startswith('299 - "sha256:')


def test_an_access_token_that_may_only_pull_is_refused(push: Push, require: Require) -> None:
    require()
    push()
    pulls = holder(made("alice", "alice/*:pull"))

    refusal(pulls.get(f"{PLACE}v1", scopes=["repository:alice/app:pull"]))


def test_a_right_to_push_some_tags_is_none_to_pull_what_is_unsigned(bob: Caller, push: Push, require: Require) -> None:
    Rule.objects.create(subject="bob", name="alice/*", actions="push", tags="ci-*")
    require()
    push()

    refusal(bob.get(f"{PLACE}v1"))


def test_what_comes_from_an_upstream_needs_a_signature_for_everybody(
    alice: Caller, push: Push, require: Require
) -> None:
    require()
    push()
    proxy = Proxy.objects.create(prefix="alice/", url="https://upstream.example", tag_ttl="1h")
    scopes = ["repository:alice/app:pull"]

    told = refusal(alice.get(f"{PLACE}v1", scopes=scopes))
    assert "its upstream https://upstream.example has to have the signature" in told
    assert "push the signature to this repository" not in told

    # A fallback: its repositories take pushes.
    proxy.prefix = ""
    proxy.save()
    assert alice.get(f"{PLACE}v1", scopes=scopes).status_code == 200


def test_the_mode_warn_only_warns(alice: Caller, bob: Caller, push: Push, require: Require) -> None:
    require(mode="warn")
    image = push()

    for response in (bob.get(f"{PLACE}v1"), bob.head(f"{PLACE}v1")):
        assert response.status_code == 200
        assert "it has no signature in the repository; images of alice/*" in response["Warning"]
    bundled(KEY, image.payload).push(alice, "alice/app")

    assert "Warning" not in bob.get(f"{PLACE}v1").headers


def test_blobs_and_lists_are_as_ever(bob: Caller, push: Push, require: Require) -> None:
    require()
    image = push()

    for place in (f"blobs/{image.layers[0]}", "tags/list", f"referrers/{image.digest}"):
        response = bob.get(f"/v2/alice/app/{place}")
        assert (response.status_code, bool(content(response))) == (200, True)


def test_a_refusal_is_in_the_audit(
    bob: Caller,
    push: Push,
    require: Require,
    written: Written,  # noqa: F811 - the fixture
) -> None:
    require()
    image = push()
    bob.get(f"{PLACE}v1")

    (event,) = [event for event in written() if event.kind == Kind.DENIAL]

    assert (event.account, event.repository) == ("bob", "alice/app")
    assert f"{image.digest} of alice/app: it has no signature" in event.detail


def test_what_a_client_has_already_is_refused_too(bob: Caller, push: Push, require: Require) -> None:
    require()
    image = push()

    refusal(bob.get(f"{PLACE}v1", headers={"If-None-Match": f'"{image.digest}"'}))
