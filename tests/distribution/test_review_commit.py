"""A COMMIT that the database made and whose answer never came."""

from collections.abc import Callable

import psycopg
import pytest
from django.db import connection

from distribution.models import Blob, Upload
from tests.caller import Caller
from tests.database_errors import of_postgresql
from tests.distribution.sessions import finish, start
from tests.images import digest_of

pytestmark = pytest.mark.django_db(transaction=True)

BYTES = b"bytes that are published and nobody says so"


@pytest.fixture
def lost_answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the answer get lost to the COMMIT that makes the first blob."""
    commit = connection._commit  # type: ignore[attr-defined]
    lost: list[bool] = []

    def commit_silently() -> None:
        is_publishing = not lost and not Upload.objects.exists() and Blob.objects.exists()
        commit()
        if is_publishing:
            lost.append(True)
            raise of_postgresql(psycopg.OperationalError("server closed the connection unexpectedly"))

    def begin() -> None:
        monkeypatch.setattr(connection, "_commit", commit_silently)

    return begin


@pytest.mark.parametrize("in_chunks", [True, False])
def test_a_blob_whose_commit_was_not_answered_is_201(
    alice: Caller, lost_answer: Callable[[], None], *, in_chunks: bool
) -> None:
    location = start(alice)
    if in_chunks:
        alice.patch(location, BYTES)
    lost_answer()

    response = finish(alice, location, digest_of(BYTES), b"" if in_chunks else BYTES)

    assert response.status_code == 201
    assert alice.head(f"/v2/alice/app/blobs/{digest_of(BYTES)}").status_code == 200
