"""Two puts that can't see each other's row yet, and both are to know of each other in the end."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event

import pytest
from django.db import connection
from django.utils.timezone import now

from acl.names import RepositoryName
from distribution.manifests import store
from distribution.manifests.incoming import Put
from distribution.models import Manifest, Repository
from distribution.protocol.digest import Digest
from distribution.protocol.references import Tag
from tests.caller import Caller
from tests.images import descriptor, digest_of, manifest, push_blob

NAME = RepositoryName("alice/app")
CONFIG = b"{}"
SUBJECT = manifest(CONFIG)
REFERRER = manifest(CONFIG, subject=descriptor(SUBJECT))
OTHER = manifest(CONFIG, b"a layer")


def put(payload: bytes, tags: Sequence[Tag] = ()) -> None:
    """Put a manifest by its digest, in a thread with a connection of its own."""
    try:
        store.put(NAME, payload, None, tags=tags, account="", rules=None)
    finally:
        connection.close()


@pytest.fixture
def uncommitted(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], tuple[Event, Event]]:
    """Keep the put of one payload from its COMMIT: the events say that it came so far, and let it go on."""

    def keep(payload: bytes) -> tuple[Event, Event]:
        is_written, may_commit = Event(), Event()
        put_all = store._put

        def put_and_wait(incoming: Put) -> None:
            put_all(incoming)
            if incoming.payload == payload:
                is_written.set()
                may_commit.wait(60)

        monkeypatch.setattr(store, "_put", put_and_wait)
        return is_written, may_commit

    return keep


def delete(payload: bytes) -> None:
    """Delete a manifest, in a thread with a connection of its own."""
    try:
        store.delete(NAME, Digest.of(payload), account="", rules=None)
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_referrer_that_comes_while_its_subject_goes_is_held_by_nothing(
    disk: Path, alice: Caller, uncommitted: Callable[[bytes], tuple[Event, Event]]
) -> None:
    push_blob(alice, NAME, CONFIG)
    put(SUBJECT)
    is_written, may_commit = uncommitted(REFERRER)
    with ThreadPoolExecutor(2) as threads:
        putting = threads.submit(put, REFERRER)
        assert is_written.wait(60)

        deleting = threads.submit(delete, SUBJECT)
        wait([deleting], timeout=1)
        may_commit.set()
        for future in (putting, deleting):
            future.result()

    assert Manifest.objects.get().is_unreferenced is True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("first", "second"), [(REFERRER, SUBJECT), (SUBJECT, REFERRER)])
def test_a_referrer_and_its_subject_that_come_at_once_are_bound(
    disk: Path,
    alice: Caller,
    uncommitted: Callable[[bytes], tuple[Event, Event]],
    first: bytes,
    second: bytes,
) -> None:
    push_blob(alice, NAME, CONFIG)
    is_written, may_commit = uncommitted(first)
    with ThreadPoolExecutor(2) as threads:
        putting = [threads.submit(put, first)]
        assert is_written.wait(60)

        beside = threads.submit(put, second)
        # It waits for the other's end, or it would be done without knowing of it by then.
        wait([beside], timeout=1)
        may_commit.set()
        for future in [*putting, beside]:
            future.result()

    assert Manifest.objects.get(subject__isnull=False).is_unreferenced is False


@pytest.mark.django_db(transaction=True)
def test_a_tag_moves_from_a_manifest_that_another_put_touches(
    disk: Path, alice: Caller, uncommitted: Callable[[bytes], tuple[Event, Event]]
) -> None:
    for content in (CONFIG, b"a layer"):
        push_blob(alice, NAME, content)
    store.put(NAME, SUBJECT, None, tags=[Tag("v1")], account="", rules=None)
    store.put(NAME, OTHER, None, account="", rules=None)
    # Among thousands PostgreSQL finds the rows to lock by an index, and looks again at one that was changed meanwhile.
    own, options = (
        Repository.objects.get(name=NAME),
        {"payload": b"{}", "size": 2, "last_used_at": now(), "is_unreferenced": False},
    )
    rows = (Manifest(repository=own, digest=digest_of(b"%d" % number), **options) for number in range(5000))
    Manifest.objects.bulk_create(rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    is_written, may_commit = uncommitted(SUBJECT)
    with ThreadPoolExecutor(2) as threads:
        touching = threads.submit(put, SUBJECT)
        assert is_written.wait(60)

        moving = threads.submit(put, OTHER, [Tag("v1")])
        wait([moving], timeout=1)
        may_commit.set()
        for future in (touching, moving):
            future.result(60)

    assert alice.get(f"/v2/{NAME}/manifests/v1").content == OTHER
