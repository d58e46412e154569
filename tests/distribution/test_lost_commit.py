"""A COMMIT that the database made and whose answer never came: what runs again knows what it did before."""

from collections.abc import Callable

import psycopg
import pytest
from django.db import connection

from acl.names import RepositoryName
from distribution import deletion
from distribution.models import Blob, Link, Manifest, Repository, Tag, Trash, Upload
from tests.caller import Caller, content
from tests.database_errors import of_postgresql
from tests.distribution.sessions import finish, start
from tests.images import digest_of, push_blob, push_image

pytestmark = pytest.mark.django_db(transaction=True)

BYTES = b"bytes that are published and nobody says so"

LoseAnswer = Callable[[Callable[[], bool]], list[bool]]


@pytest.fixture
def lose_answer(monkeypatch: pytest.MonkeyPatch) -> LoseAnswer:
    """Return a function that lets the answer get lost to the first COMMIT of what makes a condition true.

    It returns a list, which is empty until that has happened.
    """
    commit = connection._commit  # type: ignore[attr-defined]

    def begin(condition: Callable[[], bool]) -> list[bool]:
        lost: list[bool] = []

        def commit_silently() -> None:
            is_it = not lost and condition()
            commit()
            if is_it:
                lost.append(True)
                raise of_postgresql(psycopg.OperationalError("server closed the connection unexpectedly"))

        monkeypatch.setattr(connection, "_commit", commit_silently)
        return lost

    return begin


def is_published() -> bool:
    """Tell whether there is a blob, and no session any more."""
    return Blob.objects.exists() and not Upload.objects.exists()


def is_claimed() -> bool:
    """Tell whether somebody writes to a session."""
    return Upload.objects.filter(lease__isnull=False).exists()


@pytest.mark.parametrize("in_chunks", [True, False])
@pytest.mark.parametrize("is_there_before", [True, False])
def test_a_published_blob_is_201_though_the_answer_to_its_commit_is_lost(
    alice: Caller, lose_answer: LoseAnswer, *, in_chunks: bool, is_there_before: bool
) -> None:
    if is_there_before:
        push_blob(alice, "alice/app", BYTES)
    location = start(alice)
    if in_chunks:
        alice.patch(location, BYTES)
    lost = lose_answer(is_published)

    response = finish(alice, location, digest_of(BYTES), b"" if in_chunks else BYTES)

    assert lost
    assert response.status_code == 201
    assert alice.head(f"/v2/alice/app/blobs/{digest_of(BYTES)}").status_code == 200


def test_an_opened_session_is_202_and_takes_the_blob(alice: Caller, lose_answer: LoseAnswer) -> None:
    lost = lose_answer(Upload.objects.exists)

    location = start(alice)

    assert lost
    assert finish(alice, location, digest_of(BYTES), BYTES).status_code == 201


@pytest.mark.parametrize("before", [b"", b"what came before: "])
def test_a_leased_session_takes_the_chunk(alice: Caller, lose_answer: LoseAnswer, before: bytes) -> None:
    location = start(alice)
    if before:
        alice.patch(location, before)
    lost = lose_answer(is_claimed)

    response = alice.patch(location, BYTES)

    assert lost
    assert response.status_code == 202
    assert finish(alice, location, digest_of(before + BYTES)).status_code == 201
    assert content(alice.get(f"/v2/alice/app/blobs/{digest_of(before + BYTES)}")) == before + BYTES


def test_an_empty_chunk_is_202(alice: Caller, lose_answer: LoseAnswer) -> None:
    location = start(alice)
    lost = lose_answer(Trash.objects.exists)

    response = alice.patch(location, b"")

    assert lost
    assert response.status_code == 202
    assert finish(alice, location, digest_of(BYTES), BYTES).status_code == 201


def test_a_cancelled_session_is_204(alice: Caller, lose_answer: LoseAnswer) -> None:
    location = start(alice)
    lost = lose_answer(lambda: not Upload.objects.exists())

    response = alice.delete(location)

    assert lost
    assert response.status_code == 204


def test_a_wrong_digest_is_400_though_its_session_is_gone(alice: Caller, lose_answer: LoseAnswer) -> None:
    location = start(alice)
    lost = lose_answer(lambda: not Upload.objects.exists())

    response = finish(alice, location, digest_of(b"another"), BYTES)

    assert lost
    assert response.status_code == 400


def test_a_deleted_blob_is_202(alice: Caller, lose_answer: LoseAnswer) -> None:
    digest = push_blob(alice, "alice/app", BYTES)
    lost = lose_answer(lambda: not Link.objects.exists())

    response = alice.delete(f"/v2/alice/app/blobs/{digest}")

    assert lost
    assert response.status_code == 202


def test_a_deleted_tag_is_202(alice: Caller, lose_answer: LoseAnswer) -> None:
    push_image(alice, "alice/app", "v1")
    lost = lose_answer(lambda: not Tag.objects.exists())

    response = alice.delete("/v2/alice/app/manifests/v1")

    assert lost
    assert response.status_code == 202


def test_a_deleted_manifest_is_202(alice: Caller, lose_answer: LoseAnswer) -> None:
    image = push_image(alice, "alice/app", "v1")
    lost = lose_answer(lambda: not Manifest.objects.exists())

    response = alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    assert lost
    assert response.status_code == 202


def test_the_deletion_of_a_repository_is_completed(alice: Caller, lose_answer: LoseAnswer) -> None:
    push_image(alice, "alice/app", "v1")
    lost = lose_answer(lambda: not Repository.objects.filter(name="alice/app").exists())

    for _ in deletion.steps(deletion.begin(RepositoryName("alice/app"))):
        pass

    assert lost
    assert not Repository.objects.exists()


def test_a_missing_tag_manifest_or_blob_is_404(alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)

    for path in ("manifests/v1", f"manifests/{digest_of(b'none')}", f"blobs/{digest_of(b'none')}"):
        assert alice.delete(f"/v2/alice/app/{path}").status_code == 404
