"""`auth.keys: database`: signing keys in the database, encrypted."""

import dataclasses
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from pytest_django import Settings

from core.db import clock
from core.private_files import KeyFileError
from tests.caller import Caller
from tokens.keys import fingerprints, ring, stored
from tokens.models import Role, StoredKey

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """Keep keys in the database; return the folder, still empty, that had them otherwise."""
    key = tmp_path / "keys" / "registry.key"
    use(settings, keys="database", private_key=key)
    ring.forget()
    yield key.parent
    ring.forget()


def use(settings: Settings, **auth: object) -> None:
    """Change the section `auth`."""
    changed = dataclasses.replace(settings.REGISTRY.auth, **auth)
    settings.REGISTRY = dataclasses.replace(settings.REGISTRY, auth=changed)


def kids() -> set[str]:
    """Return the keys that verify, which are published."""
    return set(ring.current().by_kid)


def rotate() -> None:
    call_command("rotatekey", stdout=io.StringIO())


def pass_time(seconds: float) -> None:
    """Let the retiring keys be older, and the cache empty."""
    moment = clock.now() - timedelta(seconds=seconds)
    StoredKey.objects.filter(role=Role.RETIRING).update(retired_at=moment)
    ring.forget()


def test_a_token_is_issued_and_accepted(alice: Caller, folder: Path) -> None:
    ring.ensure_keys()

    token = alice.token("repository:alice/app:pull")

    assert jwt.get_unverified_header(token)["kid"] == ring.current().active.kid
    assert alice.get("/v2/alice/app/tags/list", token=token).status_code == 404
    assert not folder.exists()


def test_starts_at_once_have_the_same_keys() -> None:
    ring.ensure_keys()
    before = ring.current().active.kid
    ring.forget()

    ring.ensure_keys()

    assert ring.current().active.kid == before


def test_no_key_is_readable_in_the_table() -> None:
    ring.ensure_keys()

    assert all(b"KEY" not in bytes(row.content) for row in StoredKey.objects.all())
    assert StoredKey.objects.count() == 2


def test_another_secret_key_opens_none(settings: Settings) -> None:
    ring.ensure_keys()
    ring.forget()
    settings.SECRET_KEY = "another secret key, of enough characters"

    with pytest.raises(KeyFileError, match=r"another server\.secret_key has encrypted the signing keys"):
        ring.current()


def test_a_row_under_another_name_is_not_opened() -> None:
    ring.ensure_keys()
    StoredKey.objects.filter(role=Role.NEXT).update(kid="renamed")
    ring.forget()

    with pytest.raises(KeyFileError):
        ring.current()


def test_new_keys_replace_those_of_a_lost_secret(settings: Settings) -> None:
    ring.ensure_keys()
    before = kids()
    settings.SECRET_KEY = "another secret key, of enough characters"

    call_command("acceptkeys", stdout=io.StringIO())

    assert kids().isdisjoint(before)
    assert [*fingerprints.check_secret(), *fingerprints.check_signing_key()] == []


def test_the_next_key_is_published_before_it_signs() -> None:
    ring.ensure_keys()
    retiring, published = ring.current().active.kid, kids()

    rotate()

    assert ring.current().active.kid in published - {retiring}
    assert retiring in kids()


def test_a_process_with_the_keys_of_before_verifies_a_new_token() -> None:
    ring.ensure_keys()
    before = ring.current()

    stored.rotate(600)
    active, _, _ = stored.read(600)

    assert active.kid in before.by_kid


@pytest.mark.parametrize(("seconds", "is_noticed"), [(0.0, True), (60.0, False)])
def test_a_rotation_is_noticed_once_the_cache_is_old(
    monkeypatch: pytest.MonkeyPatch, seconds: float, is_noticed: bool
) -> None:
    monkeypatch.setattr(stored, "CACHE_SECONDS", seconds)
    ring.ensure_keys()
    before = ring.current().active.kid

    stored.rotate(600)

    assert (ring.current().active.kid != before) == is_noticed


@pytest.mark.django_db(transaction=True)
def test_two_rotations_at_once_are_two_rotations() -> None:
    ring.ensure_keys()

    def rotate_in_thread(_: int) -> None:
        try:
            stored.rotate(600)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(rotate_in_thread, range(2)))

    roles = sorted(StoredKey.objects.values_list("role", flat=True))
    assert roles == [Role.ACTIVE, Role.NEXT, Role.RETIRING, Role.RETIRING]


def test_a_retired_key_expires_and_is_deleted() -> None:
    ring.ensure_keys()
    retiring = ring.current().active.kid
    rotate()
    pass_time(1_000_000)

    assert ring.current().by_kid.get(retiring) is None
    rotate()
    assert not StoredKey.objects.filter(pk=retiring).exists()


def test_a_retired_key_has_no_private_half() -> None:
    ring.ensure_keys()
    retiring = ring.current().active.kid

    rotate()

    found = ring.current().by_kid.get(retiring)
    assert found is not None
    assert found.signing is None


def test_the_keys_of_the_folder_are_taken_over(settings: Settings, folder: Path) -> None:
    use(settings, keys="folder")
    ring.ensure_keys()
    call_command("rotatekey", stdout=io.StringIO())
    active, published = ring.current().active.kid, kids()

    use(settings, keys="database")
    ring.ensure_keys()

    assert (ring.current().active.kid, kids()) == (active, published)


def test_keys_that_were_read_serve_while_the_database_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "CACHE_SECONDS", 0.0)
    ring.ensure_keys()
    known = ring.current().active.kid
    monkeypatch.setattr(stored, "read", _fail)

    assert ring.current().active.kid == known


def test_a_process_that_read_none_fails_with_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "read", _fail)

    with pytest.raises(OperationalError):
        ring.current()


def _fail(_keep_seconds: float) -> None:
    raise OperationalError("away")
