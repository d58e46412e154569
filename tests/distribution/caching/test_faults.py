"""What an upstream may do wrong: no client ever takes a broken blob for a whole one, and nothing broken stays."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import InMemoryStorage
from django.db import connections
from django.utils.timezone import now

from acl.models import Rule
from acl.names import RepositoryName
from collector import fsck
from core.api.errors import ErrorCode, RegistryError
from distribution.caching import faults, fetches
from distribution.caching.growing import CutOffError
from distribution.models import Blob, Manifest, Upload
from distribution.protocol.digest import Digest, parse_digest
from distribution.storage import disk_reserve
from distribution.uploads import sessions
from policies.models import ImmutableTags, Quota, ReadOnly
from tests.caller import Caller, content, error_codes
from tests.distribution.caching.conftest import make_proxy
from tests.distribution.invariants import broken
from tests.images import digest_of
from tests.upstreams.fake import FakeRegistry, answering, cut_off, redirecting, send, serving, waiting_for
from upstreams.models import Proxy

pytestmark = pytest.mark.django_db(transaction=True)

LAYER = b"a layer" * 300_000
BLOB = f"/v2/hub/app/blobs/{digest_of(LAYER)}"
MANIFEST = "/v2/hub/app/manifests/v1"


def asker(digest: Digest) -> fetches.Ask:
    """Return what asks the upstream for the blob, as of another process."""
    return lambda method: Proxy.objects.get().upstream().blob("app", str(digest), method)


def joined() -> None:
    """Wait for the fetches of this process."""
    for thread in threading.enumerate():
        if thread.name == "fetch":
            thread.join(30)


@pytest.fixture(autouse=True)
def image(proxy: Proxy, upstream: FakeRegistry) -> bytes:
    return upstream.add_image("app", "v1", LAYER)


def pull(caller: Caller) -> bytes:
    return content(caller.get(BLOB))


def in_threads(calls: list[Callable[[], Any]]) -> list[Any]:
    def closing(call: Callable[[], Any]) -> Any:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(closing, calls))


def test_many_clients_fetch_a_blob_once(
    upstream: FakeRegistry, alice: Caller, another: Callable[[Caller], Caller], disk: Path
) -> None:
    alice.token("repository:hub/app:pull,push,delete")
    clients = [another(alice) for _ in range(12)]

    found = in_threads([partial(pull, client) for client in clients])

    assert [body == LAYER for body in found] == [True] * 12
    assert upstream.count("GET /v2/app/blobs") == 1
    assert broken(disk) == []


def test_a_client_reads_along_before_the_blob_is_whole(upstream: FakeRegistry, alice: Caller) -> None:
    goes_on = threading.Event()
    upstream.faults[digest_of(LAYER)] = waiting_for(goes_on, after=1_000_000)

    response = alice.get(BLOB)
    first = next(iter(response.streaming_content))
    is_stored = Blob.objects.exists()
    goes_on.set()
    rest = b"".join(response.streaming_content)

    assert not is_stored
    assert (first + rest == LAYER, response["Content-Length"]) == (True, str(len(LAYER)))


def test_an_upstream_that_is_cut_off_cuts_its_clients_off(upstream: FakeRegistry, alice: Caller, disk: Path) -> None:
    upstream.faults[digest_of(LAYER)] = cut_off(after=1_500_000)

    response = alice.get(BLOB)
    with pytest.raises(CutOffError):
        content(response)

    joined()
    assert (Blob.objects.count(), Upload.objects.count()) == (0, 0)
    assert broken(disk) == []
    upstream.faults.clear()
    faults.forget()
    assert content(alice.get(BLOB)) == LAYER


def test_a_wrong_digest_never_completes(upstream: FakeRegistry, alice: Caller, disk: Path) -> None:
    upstream.blobs[digest_of(LAYER)] = LAYER[:-1] + b"!"

    received: list[bytes] = []
    response = alice.get(BLOB)
    with pytest.raises(CutOffError):
        received.extend(response.streaming_content)

    joined()
    assert 0 < len(b"".join(received)) < len(LAYER)
    assert (Blob.objects.count(), Upload.objects.count()) == (0, 0)
    assert broken(disk) == []
    again = alice.get(BLOB, headers={"Range": "bytes=0-1"})
    assert (again.status_code, error_codes(again)) == (503, ["UNAVAILABLE"])


@pytest.mark.parametrize("wrong", [b"{}", b'{"schemaVersion": 1, "fsLayers": []}', b"\xff" * 10])
def test_a_manifest_that_is_none_is_not_kept(
    upstream: FakeRegistry, alice: Caller, wrong: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(request: Any, _content: bytes) -> bool:
        request.send_response(200)
        request.send_header("Content-Length", str(len(wrong)))
        request.end_headers()
        request.wfile.write(wrong)
        return True

    upstream.faults["/manifests/v1"] = fault

    found = alice.get(MANIFEST)

    assert (found.status_code, "not valid here" in found.json()["errors"][0]["message"]) == (503, True)
    assert not Manifest.objects.exists()


def test_what_is_here_is_served_while_nothing_can_be_written(
    upstream: FakeRegistry, alice: Caller, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    Proxy.objects.update(tag_ttl="0")
    assert content(alice.get(MANIFEST)) == image
    upstream.add_image("app", "v1", LAYER, b"moved")

    def unwritable() -> None:
        raise RegistryError(ErrorCode.DENIED, "full")

    monkeypatch.setattr(disk_reserve, "check_rows", unwritable)

    found = alice.get(MANIFEST)
    assert (content(found), found["Warning"]) == (image, '111 - "Revalidation Failed"')


def test_a_manifest_of_another_digest_is_not_kept(upstream: FakeRegistry, alice: Caller, image: bytes) -> None:
    wanted = digest_of(b"something else")
    upstream.manifests["app", wanted] = image

    assert alice.get(f"/v2/hub/app/manifests/{wanted}").status_code == 503
    assert not Manifest.objects.exists()


def test_the_limit_of_an_upstream_is_told_with_its_end(upstream: FakeRegistry, alice: Caller, image: bytes) -> None:
    limits = {"RateLimit_Limit": "100;w=21600", "RateLimit_Remaining": "0;w=21600", "Retry_After": "77"}
    assert content(alice.get(MANIFEST)) == image
    upstream.faults["/manifests/v2"] = answering(429, **limits)

    refused = alice.get("/v2/hub/app/manifests/v2")

    assert (refused.status_code, refused["Retry-After"]) == (429, "77")
    message = refused.json()["errors"][0]["message"]
    assert message.endswith("allows 100 requests in 360 minutes, and no more requests now; try again in 77 s")
    # Nothing is asked meanwhile, and what is here is served.
    asked = len(upstream.requests)
    Proxy.objects.update(tag_ttl="0")
    found = alice.get(MANIFEST)
    assert (content(found), found["Warning"]) == (image, '110 - "Response is Stale"')
    assert len(upstream.requests) == asked


def test_a_limit_of_another_host_counts_for_its_content_alone(
    upstream: FakeRegistry, alice: Caller, image: bytes
) -> None:
    with serving(FakeRegistry()) as cloud:
        upstream.faults[digest_of(LAYER)] = redirecting(f"{cloud.url}/x")
        cloud.faults["/x"] = answering(429, Retry_After="3600")
        refused = [alice.get(BLOB) for _ in range(2)]

        assert [(found.status_code, found["Retry-After"]) for found in refused] == [(429, "3600")] * 2
        assert len(cloud.requests) == 1
    assert content(alice.get(MANIFEST)) == image


@pytest.mark.parametrize("is_closed", [True, False])
def test_clients_are_not_told_of_hosts(
    upstream: FakeRegistry, alice: Caller, caplog: pytest.LogCaptureFixture, *, is_closed: bool
) -> None:
    upstream.faults[digest_of(LAYER)] = upstream.faults["/v1"] = answering(500)
    if is_closed:
        upstream.close()

    for found in (alice.get(MANIFEST), alice.get(BLOB), alice.head(BLOB)):
        assert found.status_code == 503
        assert b"127.0.0.1" not in found.content
    assert upstream.url in "".join(str(vars(record)) for record in caplog.records)


def test_what_is_missing_names_no_host(upstream: FakeRegistry, alice: Caller) -> None:
    found = alice.get("/v2/hub/app/manifests/missing")

    assert (found.status_code, b"127.0.0.1" in found.content) == (404, False)


def test_a_process_that_died_is_taken_over(upstream: FakeRegistry, alice: Caller, disk: Path) -> None:
    digest = parse_digest(digest_of(LAYER))
    session = fetches.session_of("hub/app", digest)
    assert sessions.start_fetch(RepositoryName("hub/app"), session, "sha256") is not None
    Upload.objects.update(active_at=now() - timedelta(minutes=1))

    assert content(alice.get(BLOB)) == LAYER
    assert Upload.objects.count() == 0
    assert broken(disk) == []


def test_a_blob_that_another_process_fetches_is_awaited(upstream: FakeRegistry, alice: Caller) -> None:
    digest = parse_digest(digest_of(LAYER))
    upload = sessions.start_fetch(RepositoryName("hub/app"), fetches.session_of("hub/app", digest), "sha256")
    assert upload is not None
    waiting = ThreadPoolExecutor(1).submit(in_threads, [partial(pull, alice)])

    fetches.Fetch(RepositoryName("hub/app"), digest, asker(digest))._receive(upload)

    assert waiting.result(30) == [LAYER]
    assert upstream.count("GET /v2/app/blobs") == 1


def test_clients_read_along_with_another_process(upstream: FakeRegistry, alice: Caller, disk: Path) -> None:
    digest, goes_on = parse_digest(digest_of(LAYER)), threading.Event()
    upload = sessions.start_fetch(RepositoryName("hub/app"), fetches.session_of("hub/app", digest), "sha256")
    assert upload is not None
    upstream.faults[digest_of(LAYER)] = waiting_for(goes_on, after=1_000_000)
    other = fetches.Fetch(RepositoryName("hub/app"), digest, asker(digest))
    done = ThreadPoolExecutor(1).submit(in_threads, [partial(other._receive, upload)])
    while not list(disk.rglob("*/*/*")):
        time.sleep(0.01)

    response = alice.get(BLOB)
    first = next(iter(response.streaming_content))
    is_stored = Blob.objects.exists()
    goes_on.set()

    assert (is_stored, first + b"".join(response.streaming_content) == LAYER) == (False, True)
    done.result(30)
    assert upstream.count("GET /v2/app/blobs") == 1


def test_clients_that_read_along_with_a_failing_process_are_cut_off(
    upstream: FakeRegistry, alice: Caller, disk: Path
) -> None:
    digest, goes_on = parse_digest(digest_of(LAYER)), threading.Event()
    upload = sessions.start_fetch(RepositoryName("hub/app"), fetches.session_of("hub/app", digest), "sha256")
    assert upload is not None
    wrong = LAYER[:-9] + b"different"
    upstream.blobs[digest_of(LAYER)] = wrong
    upstream.faults[digest_of(LAYER)] = waiting_for(goes_on, after=1_000_000)
    other = fetches.Fetch(RepositoryName("hub/app"), digest, asker(digest))

    def fail() -> None:
        with pytest.raises(RegistryError):
            other._receive(upload)

    done = ThreadPoolExecutor(1).submit(in_threads, [fail])
    while not list(disk.rglob("*/*/*")):
        time.sleep(0.01)
    response = alice.get(BLOB)
    assert next(iter(response.streaming_content))
    # The process of this client begins anew, and gets the right bytes.
    upstream.blobs[digest_of(LAYER)] = LAYER
    upstream.faults.clear()
    goes_on.set()

    with pytest.raises(CutOffError):
        content(response)
    done.result(30)
    joined()
    assert content(alice.get(BLOB)) == LAYER
    assert broken(disk) == []


def test_a_size_that_the_upstream_made_up_is_not_believed(upstream: FakeRegistry, alice: Caller, disk: Path) -> None:
    digest, goes_on = parse_digest(digest_of(LAYER)), threading.Event()
    upload = sessions.start_fetch(RepositoryName("hub/app"), fetches.session_of("hub/app", digest), "sha256")
    assert upload is not None

    def fault(request: Any, blob: bytes) -> bool:
        if request.command == "HEAD":
            send(request, 200, blob[:-1000])
            return True
        return waiting_for(goes_on, after=1_000_000)(request, blob)

    upstream.faults[digest_of(LAYER)] = fault
    other = fetches.Fetch(RepositoryName("hub/app"), digest, asker(digest))
    done = ThreadPoolExecutor(1).submit(in_threads, [partial(other._receive, upload)])
    while not list(disk.rglob("*/*/*")):
        time.sleep(0.01)
    response = alice.get(BLOB)
    assert response["Content-Length"] == str(len(LAYER) - 1000)
    goes_on.set()

    with pytest.raises(CutOffError):
        content(response)
    done.result(30)


def test_one_account_leaves_places_to_others(
    upstream: FakeRegistry, alice: Caller, bob: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetches, "MAX_FETCHES", 5)
    monkeypatch.setattr(fetches, "SHARE", 1)
    Rule.objects.create(subject_kind="account", subject="bob", name="hub/*", actions="pull")
    layers = [b"a layer" * 1000 + bytes([number]) for number in range(6)]
    upstream.add_image("app", "v2", *layers)
    goes_on = threading.Event()
    upstream.faults |= {digest_of(layer): waiting_for(goes_on, after=5) for layer in layers}

    found = [
        caller.get(f"/v2/hub/app/blobs/{digest_of(layer)}")
        for caller, layer in zip([*[alice] * 4, bob, bob], layers, strict=True)
    ]
    joins = alice.get(f"/v2/hub/app/blobs/{digest_of(layers[4])}")
    goes_on.set()

    assert [response.status_code for response in found] == [200, 200, 200, 429, 200, 429]
    assert (found[3]["Retry-After"], error_codes(found[3])) == ("5", ["TOOMANYREQUESTS"])
    assert content(joins) == content(found[4]) == layers[4]
    joined()


def test_no_client_finds_the_session_of_a_fetch(upstream: FakeRegistry, alice: Caller) -> None:
    make_proxy(upstream, prefix="", repositories="*")
    upload = sessions.start_fetch(
        RepositoryName("alice/app"),
        fetches.session_of("alice/app", parse_digest(digest_of(LAYER))),
        "sha256",
    )
    assert upload is not None

    assert alice.delete(f"/v2/alice/app/blobs/uploads/{upload.pk}").status_code == 404
    assert alice.patch(f"/v2/alice/app/blobs/uploads/{upload.pk}", b"x").status_code == 404


def test_caching_is_no_push(alice: Caller, image: bytes) -> None:
    ReadOnly.objects.create(repositories="*")
    Quota.objects.create(repositories="*", max_size=1024)

    assert content(alice.get(MANIFEST)) == image
    assert content(alice.get(BLOB)) == LAYER


def test_an_immutable_tag_stays_where_it_is(upstream: FakeRegistry, alice: Caller, image: bytes) -> None:
    ImmutableTags.objects.create(repositories="hub/*", tags="v*")
    Proxy.objects.update(tag_ttl="0")
    assert content(alice.get(MANIFEST)) == image
    upstream.add_image("app", "v1", LAYER, b"moved")

    assert content(alice.get(MANIFEST)) == image


def test_a_full_disk_refuses_what_is_not_here(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise RegistryError(ErrorCode.DENIED, "full", message="the disk is full")

    monkeypatch.setattr(disk_reserve, "check", full)

    refused = alice.get(BLOB)

    assert (refused.status_code, refused.json()["errors"][0]["message"]) == (403, "the disk is full")


def test_a_cloud_is_filled_while_the_client_reads(
    cloud: InMemoryStorage, alice: Caller, upstream: FakeRegistry
) -> None:
    assert content(alice.get(BLOB)) == LAYER
    joined()

    assert Blob.objects.count() == 1
    assert alice.get(BLOB).status_code == 307
    assert list(fsck.blobs.check(is_deep=True)) == []
