"""Referrers that somebody made to be a burden."""

import tracemalloc
from datetime import UTC, datetime

from acl.names import parse_name
from distribution import referrers
from distribution.models import Manifest
from distribution.protocol import spec
from distribution.protocol.digest import Digest
from distribution.repositories import ensure
from tests.caller import Caller

SUBJECT = Digest.of(b"the subject")
NAME = parse_name("alice/app")
MEBIBYTE = 1024 * 1024


def refer(count: int, size: int) -> None:
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
    refer(count=3 * referrers.BATCH, size=2 * MEBIBYTE)
    tracemalloc.start()

    found, has_more = referrers.page(NAME, SUBJECT, None, spec.PAGE_MAX, "")

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(found), has_more) == (1, True)
    assert peak < 2.5 * referrers.BATCH * 2 * MEBIBYTE


def test_the_pages_over_several_batches_are_whole_and_in_order(alice: Caller) -> None:
    refer(count=2 * referrers.BATCH + 5, size=1)

    first, has_more = referrers.page(NAME, SUBJECT, None, 2 * referrers.BATCH, "")
    rest, has_yet_more = referrers.page(NAME, SUBJECT, None, 2 * referrers.BATCH, first[-1]["digest"])

    assert (has_more, has_yet_more, len(rest)) == (True, False, 5)
    digests = [entry["digest"] for entry in first + rest]
    assert digests == list(Manifest.objects.order_by("digest").values_list("digest", flat=True))


def test_an_artifact_type_with_a_nul_has_no_referrers(alice: Caller) -> None:
    refer(count=1, size=1)

    response = alice.get(f"/v2/alice/app/referrers/{SUBJECT}?artifactType=a%00b")

    assert response.status_code == 200
    assert response.json()["manifests"] == []
    assert response["OCI-Filters-Applied"] == "artifactType"
