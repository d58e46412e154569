"""A repository goes, or is deleted, at the moment of a push: what was answered with 201 is there, and nothing fails."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import pytest
from django.db import connection

from acl.names import RepositoryName
from distribution import blobs, deletion, repositories
from distribution.manifests import store
from distribution.models import Repository
from distribution.uploads import sessions
from tests.caller import Caller, Response
from tests.distribution.sessions import finish, start
from tests.images import Image, digest_of, push_blob, put_manifest

APP = RepositoryName("alice/app")
OTHER = RepositoryName("alice/other")
BODY = b"bytes"
Begin = Callable[[Callable[[], Any]], "Future[Any]"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def thread(disk: Path) -> Iterator[Begin]:
    """Begin something in a thread with a connection of its own."""

    def do(act: Callable[[], Any]) -> Any:
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        yield lambda act: threads.submit(do, act)


@contextmanager
def uncommitted(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, thread: Begin, act: Any) -> Any:
    """Do `act` up to the COMMIT of its transaction `module.name`, and let it go on at the end."""
    is_written, may_commit = Event(), Event()
    transact = getattr(module, name)

    def transact_and_wait(*arguments: Any, **options: Any) -> Any:
        result = transact(*arguments, **options)
        is_written.set()
        may_commit.wait(60)
        return result

    with monkeypatch.context() as patched:
        patched.setattr(module, name, transact_and_wait)
        held = thread(act)
        assert is_written.wait(60)
    try:
        yield held
    finally:
        may_commit.set()
        held.result()


def beside(thread: Begin, act: Callable[[], Any]) -> "Future[Any]":
    """Begin `act` and give it time to find out that it has to wait."""
    begun = thread(act)
    wait([begun], timeout=1)
    return begun


def empty_repository() -> int:
    return repositories.ensure(APP).pk


def test_an_upload_that_begins_while_the_row_goes_makes_another(
    monkeypatch: pytest.MonkeyPatch, alice: Caller, thread: Begin
) -> None:
    act = partial(repositories.remove_if_empty, empty_repository())
    with uncommitted(monkeypatch, repositories, "_remove_if_empty", thread, act):
        pushing = beside(thread, partial(push_blob, alice, APP, BODY))

    assert alice.head(f"/v2/{APP}/blobs/{pushing.result()}").status_code == 200


def test_a_mount_that_comes_while_the_row_goes_makes_another(
    monkeypatch: pytest.MonkeyPatch, alice: Caller, thread: Begin
) -> None:
    digest = push_blob(alice, OTHER, BODY)
    act = partial(repositories.remove_if_empty, empty_repository())
    with uncommitted(monkeypatch, repositories, "_remove_if_empty", thread, act):
        mounting = beside(thread, partial(mount, alice, digest))

    assert mounting.result().status_code == 201
    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 200


def mount(caller: Caller, digest: str) -> Response:
    scopes = [f"repository:{OTHER}:pull", f"repository:{APP}:pull,push"]
    return caller.post(f"/v2/{APP}/blobs/uploads/?mount={digest}&from={OTHER}", scopes=scopes)


@pytest.mark.parametrize("act", ["upload", "mount"])
def test_a_row_to_which_something_comes_at_this_moment_stays(
    monkeypatch: pytest.MonkeyPatch, alice: Caller, thread: Begin, act: str
) -> None:
    digest = push_blob(alice, OTHER, BODY)
    pk = empty_repository()
    pushes: dict[str, tuple[ModuleType, str, Callable[[], Response]]] = {
        "upload": (sessions, "_open", lambda: alice.post(f"/v2/{APP}/blobs/uploads/")),
        "mount": (blobs, "_mount", lambda: mount(alice, digest)),
    }
    module, name, push = pushes[act]

    with uncommitted(monkeypatch, module, name, thread, push):
        removing = beside(thread, partial(repositories.remove_if_empty, pk))

    assert removing.result() is False
    assert Repository.objects.filter(pk=pk).exists()


def test_a_push_that_is_committed_first_is_deleted_with_the_repository(
    monkeypatch: pytest.MonkeyPatch, alice: Caller, thread: Begin, push: Callable[..., Image]
) -> None:
    image = push(APP, "v1")
    putting = partial(put_manifest, alice, APP, "v2", image.payload)
    with uncommitted(monkeypatch, store, "_put", thread, putting) as put:
        deleting = beside(thread, partial(deletion.begin, APP))

    assert put.result().status_code == 201
    assert list(deletion.steps(deleting.result()))
    assert not Repository.objects.exists()


def test_a_manifest_that_comes_while_its_repository_is_deleted_is_not_stored_out_of_sight(
    monkeypatch: pytest.MonkeyPatch, alice: Caller, thread: Begin, push: Callable[..., Image]
) -> None:
    """Its blobs went with the repository: the client is told so, and not 201."""
    image = push(APP, "v1")
    with uncommitted(monkeypatch, deletion, "_hide", thread, partial(deletion.begin, APP)):
        putting = beside(thread, partial(put_manifest, alice, APP, "v2", image.payload))

    assert (putting.result().status_code, putting.result().json()["errors"][0]["code"]) == (
        400,
        "MANIFEST_BLOB_UNKNOWN",
    )


def test_a_blob_that_comes_while_its_repository_is_deleted_is_in_the_new_one(
    monkeypatch: pytest.MonkeyPatch, alice: Caller, thread: Begin, push: Callable[..., Image]
) -> None:
    push(APP, "v1")
    session, digest = start(alice, APP), digest_of(BODY)
    looking = blobs.mark_if_lost

    with monkeypatch.context() as patched:
        is_received, may_publish = Event(), Event()

        def notice_and_wait(found: Any) -> None:
            looking(found)
            is_received.set()
            may_publish.wait(60)

        patched.setattr(blobs, "mark_if_lost", notice_and_wait)
        finishing = thread(partial(finish, alice, session, digest, BODY))
        assert is_received.wait(60)
    deleted = deletion.begin(APP)
    may_publish.set()

    assert finishing.result().status_code == 201
    list(deletion.steps(deleted))
    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 200


def test_a_mount_into_a_repository_that_is_deleted_is_in_the_new_one(
    monkeypatch: pytest.MonkeyPatch, alice: Caller, thread: Begin, push: Callable[..., Image]
) -> None:
    push(APP, "v1")
    digest = push_blob(alice, OTHER, BODY)
    with uncommitted(monkeypatch, deletion, "_hide", thread, partial(deletion.begin, APP)) as hiding:
        mounting = beside(thread, partial(mount, alice, digest))

    list(deletion.steps(hiding.result()))
    assert mounting.result().status_code == 201
    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 200


def test_two_who_delete_the_same_rows_do_not_disturb_each_other(
    alice: Caller, thread: Begin, push: Callable[..., Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("TAGS", "LINKS", "MANIFESTS"):
        monkeypatch.setattr(deletion, kind, 1)
    for number in range(5):
        push(APP, f"v{number}", b"layer %d" % number)
    pk = deletion.begin(APP)

    both = [thread(lambda: list(deletion.steps(pk))) for _ in range(2)]

    assert sum(step.manifests for steps in both for step in steps.result()) == 5
    assert not Repository.objects.exists()
