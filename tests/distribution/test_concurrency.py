"""Many clients at once, each in a thread with a connection of its own: no 5xx, and everything holds afterwards."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from distribution.models import Blob, Link, Manifest, Repository, Tag, Trash, Upload
from tests.caller import Caller, content
from tests.distribution.invariants import broken
from tests.distribution.sessions import at_once, push_in_chunks, start
from tests.images import digest_of, index, manifest, push_blob, push_image, put_manifest

pytestmark = pytest.mark.django_db(transaction=True)

BYTES = b"bytes that everybody has"
DIGEST = digest_of(BYTES)
SCOPES = ("repository:alice/app:pull,push,delete", "repository:alice/base:pull,push,delete")


@pytest.fixture
def another(alice: Caller) -> Callable[[], Caller]:
    """Make callers who are alice too, each with a client of their own and her tokens."""
    scopes: Iterable[tuple[str, ...]] = [*((scope,) for scope in SCOPES), SCOPES, SCOPES[::-1]]
    tokens = {scope: alice.token(*scope) for scope in scopes}

    def make() -> Caller:
        caller = Caller(Client(), alice.name, alice.password)
        caller._tokens |= tokens
        return caller

    return make


def statuses(responses: Iterable[Any]) -> Counter[int]:
    """Count the statuses; what a thread raised is raised here."""
    for response in responses:
        if isinstance(response, Exception):
            raise response
    return Counter(response.status_code for response in responses)


def test_eight_clients_push_the_first_blob_of_a_repository(disk: Path, alice: Caller, another: Any) -> None:
    callers = [another() for _ in range(8)]
    url = f"/v2/alice/app/blobs/uploads/?digest={DIGEST}"

    responses = at_once(*[lambda caller=caller: caller.post(url, BYTES) for caller in callers])

    assert statuses(responses) == {201: 8}
    assert Repository.objects.count() == Blob.objects.count() == Link.objects.count() == 1
    assert Trash.objects.count() == 7
    assert not Upload.objects.exists()
    assert broken(disk) == []


def test_eight_clients_push_one_blob_in_chunks(disk: Path, alice: Caller, another: Any) -> None:
    callers = [another() for _ in range(8)]

    responses = at_once(
        *[lambda caller=caller: push_in_chunks(caller, "alice/app", BYTES[:5], BYTES[5:]) for caller in callers]
    )

    assert statuses(responses) == {201: 8}
    assert content(alice.get(f"/v2/alice/app/blobs/{DIGEST}")) == BYTES
    assert broken(disk) == []


def test_one_session_is_finished_by_one_of_many(disk: Path, alice: Caller, another: Any) -> None:
    location = start(alice)
    alice.patch(location, BYTES)
    callers = [another() for _ in range(8)]

    responses = at_once(*[lambda caller=caller: caller.put(f"{location}?digest={DIGEST}") for caller in callers])

    found = statuses(responses)
    assert found[201] == 1
    assert found[201] + found[404] == 8
    assert broken(disk) == []


def test_a_session_is_cancelled_while_it_is_finished(disk: Path, alice: Caller, another: Any) -> None:
    for _ in range(5):
        location = start(alice)
        one, other = another(), another()

        responses = at_once(
            lambda one=one, location=location: one.put(f"{location}?digest={DIGEST}", BYTES),
            lambda other=other, location=location: other.delete(location),
        )

        assert set(statuses(responses)) <= {201, 204, 404}
        assert broken(disk) == []


def test_a_blob_is_deleted_mounted_and_pushed_at_once(disk: Path, alice: Caller, another: Any) -> None:
    for _ in range(5):
        push_blob(alice, "alice/base", BYTES)
        mount = f"/v2/alice/app/blobs/uploads/?mount={DIGEST}&from=alice/base"
        calls = [
            lambda caller=another(): caller.post(mount, scopes=SCOPES),
            lambda caller=another(): caller.delete(f"/v2/alice/base/blobs/{DIGEST}"),
            lambda caller=another(): caller.delete(f"/v2/alice/app/blobs/{DIGEST}"),
            lambda caller=another(): caller.post(f"/v2/alice/app/blobs/uploads/?digest={DIGEST}", BYTES),
        ]

        responses = at_once(*calls)

        assert set(statuses(responses)) <= {201, 202, 404}
        assert broken(disk) == []


def test_eight_clients_move_one_tag(disk: Path, alice: Caller, another: Any) -> None:
    layers = [f"layer {number}".encode() for number in range(4)]
    push_blob(alice, "alice/app", b"{}")
    for layer in layers:
        push_blob(alice, "alice/app", layer)
    calls = [
        lambda caller=another(), layer=layer: put_manifest(caller, "alice/app", "v1", manifest(b"{}", layer))
        for layer in [*layers, *layers]
    ]

    responses = at_once(*calls)

    assert statuses(responses) == {201: 8}
    assert Tag.objects.count() == 1
    assert Manifest.objects.count() == 4
    assert Manifest.objects.filter(is_idle=False).count() == 1
    assert broken(disk) == []


def test_a_tag_moves_while_its_manifests_are_deleted(disk: Path, alice: Caller, another: Any) -> None:
    one = push_image(alice, "alice/app", "v1", b"one")
    two = push_image(alice, "alice/app", "v1", b"two")

    def move(caller: Caller, payload: bytes) -> Any:
        for _ in range(4):
            response = put_manifest(caller, "alice/app", "v1", payload)
            assert response.status_code == 201, response.content
        return response

    def delete(caller: Caller, reference: str) -> Any:
        for _ in range(6):
            response = caller.delete(f"/v2/alice/app/manifests/{reference}")
            assert response.status_code in {202, 404}, response.content
        return response

    responses = at_once(
        lambda caller=another(): move(caller, one.payload),
        lambda caller=another(): move(caller, two.payload),
        lambda caller=another(): delete(caller, one.digest),
        lambda caller=another(): delete(caller, two.digest),
        lambda caller=another(): delete(caller, "v1"),
    )

    assert not [response for response in statuses(responses) if response >= 500]
    assert broken(disk) == []


def test_an_index_comes_while_its_child_goes(disk: Path, alice: Caller, another: Any) -> None:
    for number in range(5):
        image = push_image(alice, "alice/app", "child", b"a layer")
        payload = index(image.payload, annotations={"number": str(number)})
        calls = [
            lambda caller=another(), payload=payload: put_manifest(caller, "alice/app", "all", payload),
            lambda caller=another(), image=image: caller.delete(f"/v2/alice/app/manifests/{image.digest}"),
        ]

        responses = at_once(*calls)

        found = statuses(responses)
        assert found in ({201: 1, 405: 1}, {400: 1, 202: 1})
        assert broken(disk) == []


def test_a_reader_sees_the_old_tag_or_the_new_never_none(disk: Path, alice: Caller, another: Any) -> None:
    images = [push_image(alice, "alice/app", "v1", layer) for layer in (b"one", b"two")]

    def move(caller: Caller) -> Any:
        for image in images * 5:
            response = put_manifest(caller, "alice/app", "v1", image.payload)
        return response

    def read(caller: Caller) -> Any:
        for _ in range(30):
            response = caller.get("/v2/alice/app/manifests/v1")
            assert response.content in {image.payload for image in images}
        return response

    responses = at_once(*[lambda c=another(): read(c) for _ in range(3)], lambda c=another(): move(c))

    assert statuses(responses) == {200: 3, 201: 1}
