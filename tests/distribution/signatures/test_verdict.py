"""What a verdict costs, and what hostile signatures do to it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from core.api.errors import unavailable
from distribution import blobs
from distribution.signatures import content, rows, verdict
from policies.signatures.artifact import MAX_LAYERS
from tests.caller import Caller
from tests.images import Image
from tests.policies.signatures.artifacts import BUNDLE, NOTARY, SIMPLE, Artifact, bundled, by_tag, referrer, sbom
from tests.policies.signatures.signers import KEY, signed_payload

PLACE = "/v2/alice/app/manifests/"

Push = Callable[..., Image]
Require = Callable[..., Any]


def statements(caller: Caller, reference: str = "v1") -> int:
    caller.get(f"{PLACE}{reference}")
    with CaptureQueriesContext(connection) as captured:
        caller.get(f"{PLACE}{reference}")
    return len(captured)


def test_without_a_policy_a_pull_asks_nothing_more(bob: Caller, push: Push, require: Require) -> None:
    push()
    without = statements(bob)
    require("public/*")

    assert statements(bob) == without


def test_a_signed_image_costs_one_statement_more(alice: Caller, bob: Caller, push: Push, require: Require) -> None:
    bundled(KEY, push().payload).push(alice, "alice/app")
    without = statements(bob)
    require()

    assert statements(bob) == without + 1


def test_a_refused_image_is_verified_again_for_new_candidates_only(
    alice: Caller, bob: Caller, push: Push, require: Require, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, read, whole = push(), list[str](), content.whole

    def counted(name: str, digest: str, limit: int) -> bytes | None:
        read.append(digest)
        return whole(name, digest, limit)

    monkeypatch.setattr(content, "whole", counted)
    require()
    bundled(KEY, image.payload, "sha256:" + "0" * 64).push(alice, "alice/app")

    for _ in range(3):
        assert bob.get(f"{PLACE}v1").status_code == 403

    assert len(read) == 1


@pytest.mark.parametrize("bound", ["MAX_REFERRERS", "MAX_CANDIDATES"])
def test_the_newest_referrers_are_looked_at(
    alice: Caller, bob: Caller, push: Push, require: Require, *, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(rows, bound, 3)
    require()
    image = push()
    old = bundled(KEY, image.payload).push(alice, "alice/app")
    for number in range(3):
        referrer(image.payload, BUNDLE, (BUNDLE, b"%d" % number)).push(alice, "alice/app")
    assert bob.get(f"{PLACE}v1").status_code == 403
    assert alice.delete(f"{PLACE}{old.digest}").status_code == 202

    old.push(alice, "alice/app")

    assert bob.get(f"{PLACE}v1").status_code == 200


def test_referrers_of_other_kinds_do_not_count_as_candidates(
    alice: Caller, bob: Caller, push: Push, require: Require, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MAX_CANDIDATES", 1)
    require()
    image = push()
    bundled(KEY, image.payload).push(alice, "alice/app")
    for number in range(3):
        sbom(image.payload, content=b'{"a": %d}' % number).push(alice, "alice/app")

    assert bob.get(f"{PLACE}v1").status_code == 200


def test_no_more_payloads_are_read_than_allowed(
    alice: Caller, bob: Caller, push: Push, require: Require, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "MAX_READS", 3)
    require()
    image = push()
    bundled(KEY, image.payload).push(alice, "alice/app")
    junk = [(BUNDLE, b"%d" % number) for number in range(3)]
    referrer(image.payload, BUNDLE, *junk).push(alice, "alice/app")

    message = bob.get(f"{PLACE}v1").json()["errors"][0]["message"]

    assert "of its 2 signatures none counts; the newest: it is no JSON object" in message


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"\xff\xfe\0",
    "deep": b"[" * 100_000,
    "a number": b"7",
    "huge number": b'{"dsseEnvelope": ' + b"9" * 10_000 + b"}",
    "large": b" " * (1024 * 1024 + 1),
    "surrogates": b'{"header": {"x5c": ["\\ud800"]}, "dsseEnvelope": {"payload": "\\ud800"}}',
    "control characters": b'{"dsseEnvelope": {"payloadType": "\\u001b[2J\\r\\n"}}',
    "certificate": b'{"header": {"x5c": ["MAA="]}, "payload": "", "protected": "", "signature": ""}',
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_signature_does_not_hide_one_that_counts(
    alice: Caller, bob: Caller, push: Push, require: Require, hostile: bytes
) -> None:
    require()
    image = push()
    layers = [(media_type, hostile) for media_type in (BUNDLE, SIMPLE, "application/jose+json")]
    hostile_one = referrer(image.payload, NOTARY, *layers).push(alice, "alice/app")
    response = bob.get(f"{PLACE}v1")
    assert response.status_code == 403
    assert response.json()["errors"][0]["message"].isprintable()
    bundled(KEY, image.payload).push(alice, "alice/app")
    assert alice.delete(f"{PLACE}{hostile_one.digest}").status_code == 202
    hostile_one.push(alice, "alice/app")

    assert bob.get(f"{PLACE}v1").status_code == 200


def test_what_a_parser_did_not_expect_is_no_signature(
    alice: Caller, bob: Caller, push: Push, require: Require, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OverflowError

    require()
    bundled(KEY, push().payload).push(alice, "alice/app")
    monkeypatch.setattr("policies.signatures.cosign.verify_bundle", fail)

    response = bob.get(f"{PLACE}v1")

    assert (response.status_code, "it can't be read" in response.content.decode()) == (403, True)


def test_cosign_appends_and_the_last_layers_are_looked_at(
    alice: Caller, bob: Caller, push: Push, require: Require
) -> None:
    require()
    digest = push().digest
    other = signed_payload(KEY, "sha256:" + "0" * 64)
    signature = by_tag(KEY, digest, *[other] * MAX_LAYERS)
    Artifact(signature.payload, tuple(dict.fromkeys(signature.blobs)), signature.tag).push(alice, "alice/app")

    assert bob.get(f"{PLACE}v1").status_code == 200


@pytest.mark.parametrize(("mode", "status"), [("enforce", 503), ("warn", 200)])
def test_a_storage_that_does_not_answer_is_no_missing_signature(
    alice: Caller, bob: Caller, push: Push, require: Require, *, monkeypatch: pytest.MonkeyPatch, mode: str, status: int
) -> None:
    def fail(*_arguments: object) -> None:
        raise unavailable("the storage does not answer")

    require(mode=mode)
    bundled(KEY, push().payload).push(alice, "alice/app")
    with monkeypatch.context() as patched:
        patched.setattr(blobs, "open_at", fail)
        assert bob.get(f"{PLACE}v1").status_code == status

    response = bob.get(f"{PLACE}v1")

    assert (response.status_code, "Warning" in response.headers) == (200, False)


@pytest.mark.parametrize(("fault", "status"), [(OperationalError("gone"), 503), (None, 403)])
def test_a_blob_that_is_lost_for_a_moment_is_looked_for_again(
    alice: Caller,
    bob: Caller,
    push: Push,
    require: Require,
    *,
    monkeypatch: pytest.MonkeyPatch,
    fault: Any,
    status: int,
) -> None:
    def lose(*_arguments: object) -> None:
        if fault:
            raise fault

    require()
    bundled(KEY, push().payload).push(alice, "alice/app")
    with monkeypatch.context() as patched:
        patched.setattr(content, "whole", lose)
        assert bob.get(f"{PLACE}v1").status_code == status

    assert bob.get(f"{PLACE}v1").status_code == 200


def test_a_layer_with_a_malformed_digest_is_missing(require: Require) -> None:
    assert content.whole("alice/app", "sha256:no", 10) is None
