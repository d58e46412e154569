"""`GET /v2/<name>/referrers/<digest>`."""

import json
import re
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from acl.names import parse_name
from distribution import referrers
from distribution.models import Manifest
from distribution.protocol import spec
from distribution.protocol.digest import Digest
from distribution.repositories import ensure
from tests.caller import Caller, error_codes
from tests.images import Image, descriptor, digest_of, index, manifest, push_blob, put_manifest

SBOM = "application/vnd.example.sbom"
SIGNATURE = "application/vnd.example.signature"
MISSING = digest_of(b"never pushed")
SUBJECT = Digest.of(b"the subject")
NAME = parse_name("alice/app")
MEBIBYTE = 1024 * 1024


def attach(caller: Caller, subject: str, **more: Any) -> str:
    """Push an artifact that refers to `subject` and return its digest."""
    config = b"{}"
    push_blob(caller, "alice/app", config)
    described = {"mediaType": spec.OCI_MANIFEST, "digest": subject, "size": 10}
    payload = manifest(config, subject=described, **more)
    response = put_manifest(caller, "alice/app", digest_of(payload), payload)
    assert response["OCI-Subject"] == subject
    return digest_of(payload)


def listed(response: Any) -> list[str]:
    return [entry["digest"] for entry in response.json()["manifests"]]


def test_a_referrer_is_listed_with_what_its_manifest_says(push: Callable[..., Image], alice: Caller) -> None:
    image = push()
    digest = attach(alice, image.digest, artifactType=SBOM, annotations={"made": "today"})

    response = alice.get(f"/v2/alice/app/referrers/{image.digest}")

    assert response["Content-Type"] == spec.OCI_INDEX
    (entry,) = response.json()["manifests"]
    assert (entry["digest"], entry["mediaType"]) == (digest, spec.OCI_MANIFEST)
    assert (entry["artifactType"], entry["annotations"]) == (SBOM, {"made": "today"})


def test_the_size_is_the_manifests(push: Callable[..., Image], alice: Caller) -> None:
    image = push()
    digest = attach(alice, image.digest, artifactType=SBOM)
    stored = alice.get(f"/v2/alice/app/manifests/{digest}").content

    (entry,) = alice.get(f"/v2/alice/app/referrers/{image.digest}").json()["manifests"]

    assert entry["size"] == len(stored)


def test_without_an_artifact_type_the_configs_media_type_counts(push: Callable[..., Image], alice: Caller) -> None:
    image = push()
    attach(alice, image.digest)

    (entry,) = alice.get(f"/v2/alice/app/referrers/{image.digest}").json()["manifests"]

    assert entry["artifactType"] == spec.OCI_CONFIG


def test_an_index_refers_with_its_own_artifact_type_only(push: Callable[..., Image], alice: Caller) -> None:
    image = push()
    subject = descriptor(image.payload, spec.OCI_MANIFEST)
    for payload in (index(subject=subject), index(subject=subject, artifactType=SBOM)):
        put_manifest(alice, "alice/app", digest_of(payload), payload)

    found = alice.get(f"/v2/alice/app/referrers/{image.digest}").json()["manifests"]

    assert sorted(entry.get("artifactType", "") for entry in found) == ["", SBOM]


def test_the_filter_is_applied_and_said(push: Callable[..., Image], alice: Caller) -> None:
    image = push()
    wanted = attach(alice, image.digest, artifactType=SBOM)
    attach(alice, image.digest, artifactType=SIGNATURE)

    response = alice.get(f"/v2/alice/app/referrers/{image.digest}?artifactType={SBOM}")

    assert listed(response) == [wanted]
    assert response["OCI-Filters-Applied"] == "artifactType"


@pytest.mark.parametrize(
    ("artifact_type", "asked"),
    [
        ("application/vnd.x+json", "application/vnd.x+json"),
        ("application/vnd.x+json", "application%2Fvnd.x%2Bjson"),
        ("application/x; v=1", "application/x;%20v=1"),
        ("application/x; v=1", "application%2Fx%3B+v%3D1"),
        ("application/x+json; v=1", "application/x+json;+v=1"),
        ("\u00e4/b+c", "%C3%A4/b+c"),
        ("of two words", "of%20two%20words"),
    ],
)
def test_a_plus_in_the_filter_is_a_plus(
    push: Callable[..., Image], alice: Caller, artifact_type: str, asked: str
) -> None:
    image = push("alice/app")
    wanted = [attach(alice, image.digest, artifactType=artifact_type, annotations={"n": str(n)}) for n in range(2)]

    found = followed(alice, f"/v2/alice/app/referrers/{image.digest}?n=1&artifactType={asked}")

    assert found == sorted(wanted)


def test_without_a_filter_none_is_said(push: Callable[..., Image], alice: Caller) -> None:
    response = alice.get(f"/v2/alice/app/referrers/{push().digest}")

    assert "OCI-Filters-Applied" not in response


@pytest.mark.parametrize("repository", ["alice/app", "alice/never-pushed"])
def test_an_unknown_subject_or_repository_has_no_referrers(
    push: Callable[..., Image], alice: Caller, repository: str
) -> None:
    push()

    response = alice.get(f"/v2/{repository}/referrers/{MISSING}")

    assert (response.status_code, listed(response)) == (200, [])


def test_a_referrer_may_come_before_its_subject(cast: None, alice: Caller) -> None:
    digest = attach(alice, MISSING, artifactType=SBOM)

    assert listed(alice.get(f"/v2/alice/app/referrers/{MISSING}")) == [digest]


def test_a_removed_referrer_is_no_longer_listed(push: Callable[..., Image], alice: Caller) -> None:
    image = push()
    digest = attach(alice, image.digest, artifactType=SBOM)

    alice.delete(f"/v2/alice/app/manifests/{digest}")

    assert listed(alice.get(f"/v2/alice/app/referrers/{image.digest}")) == []


def test_a_malformed_digest_is_400(alice: Caller) -> None:
    response = alice.get("/v2/alice/app/referrers/sha256:short")

    assert (response.status_code, error_codes(response)) == (400, ["DIGEST_INVALID"])


def test_referrers_need_pull(push: Callable[..., Image], charlie: Caller) -> None:
    response = charlie.get(f"/v2/alice/app/referrers/{push().digest}")

    assert response.status_code == 401


def followed(caller: Caller, path: str) -> list[str]:
    """Return the digests of all pages from `path` on."""
    digests: list[str] = []
    while path:
        response = caller.get(path)
        digests += listed(response)
        link = re.fullmatch(r'<(.+)>; rel="next"', response.get("Link", ""))
        path = link[1] if link else ""
    return digests


def test_pages_hold_every_referrer_once(push: Callable[..., Image], alice: Caller) -> None:
    image = push()
    wanted = [attach(alice, image.digest, artifactType=SBOM, annotations={"n": str(n)}) for n in range(5)]
    attach(alice, image.digest, artifactType=SIGNATURE)

    found = followed(alice, f"/v2/alice/app/referrers/{image.digest}?n=2&artifactType={SBOM}")

    assert found == sorted(wanted)


def test_a_page_never_outgrows_a_manifest(
    push: Callable[..., Image], alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(referrers, "MANIFEST_MAX_BYTES", 3000)
    image = push()
    wanted = [attach(alice, image.digest, annotations={"long": "x" * 900, "n": str(n)}) for n in range(4)]

    first = alice.get(f"/v2/alice/app/referrers/{image.digest}")

    assert len(json.dumps(first.json())) < 3000
    assert followed(alice, f"/v2/alice/app/referrers/{image.digest}") == sorted(wanted)


def insert_referrers(count: int, size: int) -> None:
    """Insert referrers whose annotations have `size` characters each."""
    repository = ensure(NAME)
    for number in range(count):
        Manifest.objects.create(
            repository=repository,
            digest=str(Digest.of(b"%d" % number)),
            media_type=spec.OCI_MANIFEST,
            payload=b"",
            size=size,
            subject=str(SUBJECT),
            annotations={"text": "x" * size},
            last_used_at=datetime.now(UTC),
            is_unreferenced=True,
        )


def test_a_page_of_huge_referrers_does_not_load_those_it_cannot_show(alice: Caller) -> None:
    insert_referrers(count=3 * referrers.BATCH, size=2 * MEBIBYTE)
    tracemalloc.start()

    found, has_more = referrers.page(NAME, SUBJECT, None, spec.PAGE_MAX, "")

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(found), has_more) == (1, True)
    assert peak < 2.5 * referrers.BATCH * 2 * MEBIBYTE


def test_the_pages_over_several_batches_are_whole_and_in_order(alice: Caller) -> None:
    insert_referrers(count=2 * referrers.BATCH + 5, size=1)

    first, has_more = referrers.page(NAME, SUBJECT, None, 2 * referrers.BATCH, "")
    rest, has_yet_more = referrers.page(NAME, SUBJECT, None, 2 * referrers.BATCH, first[-1]["digest"])

    assert (has_more, has_yet_more, len(rest)) == (True, False, 5)
    digests = [entry["digest"] for entry in first + rest]
    assert digests == list(Manifest.objects.order_by("digest").values_list("digest", flat=True))


def test_an_artifact_type_with_a_nul_has_no_referrers(alice: Caller) -> None:
    insert_referrers(count=1, size=1)

    response = alice.get(f"/v2/alice/app/referrers/{SUBJECT}?artifactType=a%00b")

    assert response.status_code == 200
    assert response.json()["manifests"] == []
    assert response["OCI-Filters-Applied"] == "artifactType"
