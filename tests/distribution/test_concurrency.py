"""Many clients at once, each in a thread with a connection of its own: no 5xx, and everything holds afterwards."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from distribution.models import Blob, Link, Manifest, Repository, Tag, Trash, Upload
from tests.caller import Caller, Response, content
from tests.distribution.invariants import broken
from tests.distribution.sessions import at_once, push_in_chunks, start
from tests.images import Image, digest_of, index, manifest, push_blob, push_image, put_manifest

pytestmark = pytest.mark.django_db(transaction=True)

BYTES = b"bytes that everybody has"
DIGEST = digest_of(BYTES)
PUSH = f"/v2/alice/app/blobs/uploads/?digest={DIGEST}"
MOUNT = f"/v2/alice/app/blobs/uploads/?mount={DIGEST}&from=alice/base"
MANIFESTS = "/v2/alice/app/manifests"
SCOPES = ("repository:alice/app:pull,push,delete", "repository:alice/base:pull,push,delete")

Call = Callable[[Caller], Response]
Together = Callable[..., Counter[int]]


@pytest.fixture
def together(disk: Path, alice: Caller) -> Together:
    """Make calls at the same moment, each by a client of its own that is alice too, and count the statuses."""
    tokens: dict[tuple[str, ...], str] = {scopes: alice.token(*scopes) for scopes in (SCOPES[:1], SCOPES[1:], SCOPES)}

    def make(*calls: Call) -> Counter[int]:
        results = at_once(*(bound(call, tokens) for call in calls))
        for result in results:
            if isinstance(result, Exception):
                raise result
        assert broken(disk) == []
        return Counter(response.status_code for response in results)

    def bound(call: Call, tokens: dict[tuple[str, ...], str]) -> Callable[[], Response]:
        caller = Caller(Client(), alice.name, alice.password)
        caller.tokens |= tokens
        return lambda: call(caller)

    return make


def put(payload: bytes, tag: str = "v1") -> Call:
    """Return the call that puts a manifest to alice/app."""
    return lambda caller: put_manifest(caller, "alice/app", tag, payload)


def delete(path: str) -> Call:
    """Return the call that deletes what is at `path`."""
    return lambda caller: caller.delete(path)


def repeatedly(call: Call, times: int) -> Call:
    """Return a call that makes `call` so often, never with a 5xx, and answers as the last one."""

    def repeat(caller: Caller) -> Response:
        responses = [call(caller) for _ in range(times)]
        assert all(response.status_code < 500 for response in responses), responses
        return responses[-1]

    return repeat


def test_eight_clients_push_the_first_blob_of_a_repository(together: Together) -> None:
    found = together(*[lambda caller: caller.post(PUSH, BYTES)] * 8)

    assert found == {201: 8}
    assert Repository.objects.count() == Blob.objects.count() == Link.objects.count() == 1
    assert Trash.objects.count() == 7
    assert not Upload.objects.exists()


def test_eight_clients_push_one_blob_in_chunks(together: Together, alice: Caller) -> None:
    found = together(*[lambda caller: push_in_chunks(caller, "alice/app", BYTES[:5], BYTES[5:])] * 8)

    assert found == {201: 8}
    assert content(alice.get(f"/v2/alice/app/blobs/{DIGEST}")) == BYTES


def test_one_session_that_many_finish_is_one_blob(together: Together, alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, BYTES)

    found = together(*[lambda caller: caller.put(f"{location}?digest={DIGEST}")] * 8)

    # Who comes in while another finishes is told the truth as well.
    assert found[201] >= 1
    assert found[201] + found[404] == 8
    assert Blob.objects.get().digest == DIGEST


def test_a_session_is_cancelled_while_it_is_finished(together: Together, alice: Caller) -> None:
    for _ in range(5):
        location = start(alice)

        found = together(lambda caller, at=location: caller.put(f"{at}?digest={DIGEST}", BYTES), delete(location))

        assert set(found) <= {201, 204, 404}


def test_a_blob_is_deleted_mounted_and_pushed_at_once(together: Together, alice: Caller) -> None:
    for _ in range(5):
        push_blob(alice, "alice/base", BYTES)

        found = together(
            lambda caller: caller.post(MOUNT, scopes=SCOPES),
            lambda caller: caller.post(PUSH, BYTES),
            delete(f"/v2/alice/base/blobs/{DIGEST}"),
            delete(f"/v2/alice/app/blobs/{DIGEST}"),
        )

        assert set(found) <= {201, 202, 404}


def test_eight_clients_move_one_tag(together: Together, alice: Caller) -> None:
    layers = [f"layer {number}".encode() for number in range(4)]
    for layer in [b"{}", *layers]:
        push_blob(alice, "alice/app", layer)

    found = together(*[put(manifest(b"{}", layer)) for layer in layers * 2])

    assert found == {201: 8}
    assert Tag.objects.count() == 1
    assert Manifest.objects.count() == 4
    assert Manifest.objects.filter(is_unreferenced=False).count() == 1


def test_a_tag_moves_while_its_manifests_are_deleted(together: Together, push: Callable[..., Image]) -> None:
    one, two = push(content=b"one"), push(content=b"two")

    found = together(
        repeatedly(put(one.payload), 5),
        repeatedly(put(two.payload), 5),
        repeatedly(delete(f"{MANIFESTS}/{one.digest}"), 6),
        repeatedly(delete(f"{MANIFESTS}/{two.digest}"), 6),
        repeatedly(delete(f"{MANIFESTS}/v1"), 6),
    )

    assert found[201] == 2
    assert set(found) <= {201, 202, 404}


def test_an_index_comes_while_its_child_goes(together: Together, alice: Caller) -> None:
    for number in range(5):
        image = push_image(alice, "alice/app", "child", b"a layer")

        found = together(
            put(index(image.payload, annotations={"number": str(number)}), "all"),
            delete(f"{MANIFESTS}/{image.digest}"),
        )

        assert found in ({201: 1, 409: 1}, {400: 1, 202: 1})


def test_a_manifest_comes_while_its_blob_goes(together: Together, alice: Caller) -> None:
    for number in range(5):
        config = push_blob(alice, "alice/app", f"config {number}".encode())

        found = together(
            put(manifest(f"config {number}".encode())),
            delete(f"/v2/alice/app/blobs/{config}"),
        )

        assert found in ({201: 1, 409: 1}, {400: 1, 202: 1})


def test_a_session_is_cancelled_while_a_chunk_comes(together: Together, alice: Caller) -> None:
    for _ in range(5):
        location = start(alice)

        found = together(lambda caller, at=location: caller.patch(at, BYTES), delete(location))

        assert found in ({202: 1, 204: 1}, {404: 1, 204: 1})
        assert not Upload.objects.exists()


def test_a_referrer_comes_while_its_subject_comes_and_goes(together: Together, push: Callable[..., Image]) -> None:
    image = push()
    subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.digest, "size": 1}

    found = together(
        repeatedly(put(index(subject=subject), "referrer"), 5),
        repeatedly(put(image.payload), 5),
        repeatedly(delete(f"{MANIFESTS}/{image.digest}"), 5),
    )

    assert found[201] == 2


def test_a_reader_sees_the_old_tag_or_the_new_and_never_none(together: Together, push: Callable[..., Image]) -> None:
    images = [push(content=b"one"), push(content=b"two")]
    payloads = {image.payload for image in images}

    def read(caller: Caller) -> Response:
        response = caller.get(f"{MANIFESTS}/v1")
        assert response.content in payloads
        return response

    movers = [repeatedly(put(image.payload), 5) for image in images]
    found = together(*[repeatedly(read, 20)] * 3, *movers)

    assert found == {200: 3, 201: 2}
