"""Processes on one database have their keys in common, or do not start on PostgreSQL."""

import dataclasses
import hashlib
import io
import shutil
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from core.start_error import StartError
from tokens.keys import fingerprints, ring
from tokens.models import KeyFingerprint, StoredKey

pytestmark = pytest.mark.django_db


def use(settings: Settings, **auth: object) -> None:
    """Change the section `auth`."""
    changed = dataclasses.replace(settings.REGISTRY.auth, **auth)
    settings.REGISTRY = dataclasses.replace(settings.REGISTRY, auth=changed)
    ring.ensure_keys()


@pytest.fixture(autouse=True)
def keys(settings: Settings, tmp_path: Path) -> Path:
    """Give each test a folder of keys, which a first start has told the database."""
    use(settings, private_key=tmp_path / "one" / "registry.key")
    assert start() == []
    return tmp_path / "one"


def start() -> list[str]:
    """Compare the keys as a start does; return the warnings."""
    return [*fingerprints.check_secret(), *fingerprints.check_signing_key()]


def refusal() -> str:
    """Return why a start is refused; on SQLite, which belongs to one machine, of what it warns."""
    if connection.vendor == "sqlite":
        (warning,) = start()
        return warning
    with pytest.raises(StartError) as caught:
        start()
    return str(caught.value)


def test_the_same_keys_start_again() -> None:
    assert start() == []


def test_another_secret_key_is_noticed(settings: Settings) -> None:
    settings.SECRET_KEY = "another secret key, of enough characters"

    assert "secret" in refusal()


def test_a_refusal_says_what_to_copy_from_where(settings: Settings, tmp_path: Path) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite belongs to one machine")
    settings.SECRET_KEY = "another secret key, of enough characters"
    assert "<server.data_directory>/keys/secret.key: copy that" in refusal()
    assert "run `manage.py acceptkeys` here" in refusal()
    settings.SECRET_KEY = settings.REGISTRY.server.secret_key or settings.SECRET_KEY


def test_another_signing_key_is_noticed(settings: Settings, tmp_path: Path) -> None:
    use(settings, private_key=tmp_path / "other" / "registry.key")

    said = refusal()

    assert "signing key" in said
    assert connection.vendor == "sqlite" or "copy all files registry.* of a server that runs already" in said


def test_another_shared_secret_is_noticed(settings: Settings) -> None:
    use(settings, signing_method="hmac", hmac_secret="a" * 32)
    call_command("acceptkeys", stdout=io.StringIO())
    use(settings, hmac_secret="b" * 32)

    said = refusal()

    assert "signing key" in said
    assert connection.vendor == "sqlite" or "set the same auth.hmac_secret" in said


def test_a_copy_of_the_same_keys_starts(settings: Settings, keys: Path, tmp_path: Path) -> None:
    shutil.copytree(keys, tmp_path / "copy")
    use(settings, private_key=tmp_path / "copy" / "registry.key")

    assert start() == []


def test_a_shared_folder_starts_after_a_rotation(keys: Path) -> None:
    call_command("rotatekey", stdout=io.StringIO())

    assert start() == []


def test_a_rotation_that_was_killed_before_it_told_the_database_starts(keys: Path) -> None:
    ring.rotate()

    assert start() == []
    assert KeyFingerprint.objects.get(pk=fingerprints.SIGNING).fingerprint == ring.current().active.kid


def test_a_copy_from_before_a_rotation_is_noticed(settings: Settings, keys: Path, tmp_path: Path) -> None:
    shutil.copytree(keys, tmp_path / "copy")
    call_command("rotatekey", stdout=io.StringIO())
    use(settings, private_key=tmp_path / "copy" / "registry.key")

    assert "signing key" in refusal()


def test_a_rotation_of_a_copy_is_refused(settings: Settings, keys: Path, tmp_path: Path) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite belongs to one machine")
    shutil.copytree(keys, tmp_path / "copy")
    call_command("rotatekey", stdout=io.StringIO())
    use(settings, private_key=tmp_path / "copy" / "registry.key")
    before = ring.current().active.kid

    with pytest.raises(CommandError, match="not the signing key that other servers"):
        call_command("rotatekey")

    assert ring.current().active.kid == before


def test_a_refused_rotation_stores_no_keys(settings: Settings, tmp_path: Path) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite belongs to one machine")
    other = dataclasses.replace(settings.REGISTRY.auth, keys="database", private_key=tmp_path / "no" / "registry.key")
    settings.REGISTRY = dataclasses.replace(settings.REGISTRY, auth=other)
    ring.forget()

    with pytest.raises(CommandError, match="not the signing key that other servers"):
        call_command("rotatekey")

    ring.forget()
    assert not StoredKey.objects.exists()


def test_a_rotation_says_who_has_to_get_the_files(keys: Path) -> None:
    output = io.StringIO()

    call_command("rotatekey", stdout=output)

    assert (f"servers that do not share {keys}" in output.getvalue()) == (connection.vendor == "postgresql")


def test_keys_that_were_changed_on_purpose_are_accepted(settings: Settings, tmp_path: Path) -> None:
    settings.SECRET_KEY = "another secret key, of enough characters"
    use(settings, private_key=tmp_path / "other" / "registry.key")

    call_command("acceptkeys", stdout=io.StringIO())

    assert start() == []


def test_no_secret_is_in_the_table(settings: Settings) -> None:
    secret = settings.SECRET_KEY
    known = set(KeyFingerprint.objects.values_list("fingerprint", flat=True))

    assert known.isdisjoint({secret, hashlib.sha256(secret.encode()).hexdigest()})
