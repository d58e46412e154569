"""What nobody has pulled for `keep_unused` is collected, and fetched again when somebody pulls it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from acl.names import RepositoryName
from collector import collection
from collector.policy import Policy
from collector.report import Report
from collector.throttle import Throttle
from distribution.caching import expiry
from distribution.manifests import store
from distribution.models import Blob, Manifest, Tag
from distribution.protocol.digest import Digest
from policies.models import ImmutableTags
from tests.caller import Caller, content
from tests.distribution.caching.conftest import make_proxy
from tests.images import digest_of, push_blob, push_image, put_manifest
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
    found = expiry.expire(now() + timedelta(hours=2), Q())
    return sum(outcome.manifests for _, outcome in found)


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


def test_what_was_fetched_and_then_pushed_stays(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    fallback = make_proxy(upstream, prefix="", repositories="*", keep_unused="1h")
    payload = upstream.add_image("alice/app", "v1", LAYER)
    assert alice.get("/v2/alice/app/manifests/v1").status_code == 200
    for blob in (json.dumps({"os": "linux", "layers": 1}).encode(), LAYER):
        push_blob(alice, "alice/app", blob)

    assert put_manifest(alice, "alice/app", digest_of(payload), payload).status_code == 201
    assert Manifest.objects.get().pushed_by == "alice"
    assert expired() == 0

    # A tag that was set here keeps what was fetched, too.
    Manifest.objects.update(pushed_by=f"proxy:{fallback.prefix}")
    assert put_manifest(alice, "alice/app", "prod", payload).status_code == 201
    Manifest.objects.update(pushed_by=f"proxy:{fallback.prefix}")
    assert expired() == 0
    Tag.objects.filter(name="prod").delete()
    assert expired() == 1


def test_what_is_tagged_meanwhile_stays(
    proxy: Proxy, upstream: FakeRegistry, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    Proxy.objects.update(keep_unused="1h")
    pulled(alice, upstream)
    real = store.delete

    def late(*about: Any, **more: Any) -> None:
        Tag.objects.update(pushed_by="alice")
        real(*about, **more)

    monkeypatch.setattr(store, "delete", late)

    assert (expired(), Tag.objects.count()) == (0, 1)


def test_refused_manifests_are_visited_once_and_can_be_stopped(
    proxy: Proxy, upstream: FakeRegistry, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    Proxy.objects.update(keep_unused="1h")
    for number in range(5):
        upstream.add_image("app", f"v{number}", b"%d" % number)
        assert alice.get(f"/v2/hub/app/manifests/v{number}").status_code == 200
    ImmutableTags.objects.create(repositories="hub/*", protected=True)
    monkeypatch.setattr(expiry, "BATCH", 2)

    with CaptureQueriesContext(connection) as asked:
        found = [outcome for _, outcome in expiry.expire(now() + timedelta(hours=2), Q())]

    assert found == [expiry.KEPT] * 5
    assert sum("LIMIT 2" in one["sql"] for one in asked) == 4
    visits = expiry.expire(now() + timedelta(hours=2), Q())
    assert next(visits)[1] is expiry.KEPT


def test_what_can_not_be_removed_is_counted(
    proxy: Proxy, upstream: FakeRegistry, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    Proxy.objects.update(keep_unused="1h")
    pulled(alice, upstream)
    long_ago = now() - timedelta(days=3)
    Manifest.objects.update(pulled_at=long_ago, created_at=long_ago)
    real, report = store.delete, Report()

    def broken(name: RepositoryName, digest: Digest, **more: Any) -> None:
        if Tag.objects.filter(manifest__digest=str(digest)).exists():
            raise ValueError(digest)
        real(name, digest, **more)

    monkeypatch.setattr(store, "delete", broken)
    collection.collect(Policy(timedelta(0), remove_untagged=False), report, Throttle())

    assert (report.failures, Manifest.objects.count()) == (1, 2)
