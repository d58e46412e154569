"""What nobody has pulled for `keep_unused` is collected, and fetched again when somebody pulls it."""

from datetime import timedelta

import pytest
from django.db.models import Q
from django.utils.timezone import now

from collector import collection
from collector.policy import Policy
from collector.report import Report
from collector.throttle import Throttle
from distribution.caching import expiry
from distribution.models import Blob, Manifest, Tag
from policies.models import ImmutableTags
from tests.caller import Caller, content
from tests.distribution.caching.conftest import make_proxy
from tests.images import digest_of, push_image
from tests.upstreams.fake import FakeRegistry
from upstreams.models import Proxy

pytestmark = pytest.mark.django_db(transaction=True)

LAYER = b"a layer" * 1000


def pulled(alice: Caller, upstream: FakeRegistry) -> bytes:
    payload = upstream.add_image("app", "v1", LAYER)
    upstream.add_index("app", "all", payload)
    for reference in ("all", digest_of(payload)):
        assert alice.get(f"/v2/hub/app/manifests/{reference}").status_code == 200
    assert content(alice.get(f"/v2/hub/app/blobs/{digest_of(LAYER)}")) == LAYER
    return payload


def expired() -> int:
    return len(list(expiry.expire(now() + timedelta(hours=2), Q())))


def test_unused_content_is_collected_like_the_rest(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    Proxy.objects.update(keep_unused="1h")
    payload = pulled(alice, upstream)
    tags = Tag.objects.count()
    assert tags > 0
    long_ago = now() - timedelta(days=3)
    Manifest.objects.update(pulled_at=long_ago, created_at=long_ago)
    report = Report()

    collection.collect(Policy(timedelta(0), remove_untagged=False), report, Throttle())

    assert (Manifest.objects.count(), Tag.objects.count()) == (0, 0)
    assert (report.total.manifests, report.total.tags) == (2, tags)
    # After the grace period, which begins with the removal.
    collection.collect(Policy(timedelta(0), remove_untagged=False), report, Throttle())
    assert not Blob.objects.exists()
    assert content(alice.get(f"/v2/hub/app/manifests/{digest_of(payload)}")) == payload


def test_what_is_pulled_now_and_then_stays(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    Proxy.objects.update(keep_unused="1h")
    pulled(alice, upstream)
    Manifest.objects.update(pulled_at=now() + timedelta(hours=2))

    assert expired() == 0


def test_without_keep_unused_everything_stays(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    pulled(alice, upstream)

    assert expired() == 0


def test_what_was_pushed_to_a_fallback_stays(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    make_proxy(upstream, prefix="", repositories="*", keep_unused="1h")
    push_image(alice, "alice/app", "v1")

    assert expired() == 0


def test_a_protected_repository_stays(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    Proxy.objects.update(keep_unused="1h")
    pulled(alice, upstream)
    ImmutableTags.objects.create(repositories="hub/*", protected=True)

    assert (expired(), Manifest.objects.count()) == (0, 2)
