"""Signing keys take turns: next, active, retiring."""

import dataclasses
import os
import sys
import time
from pathlib import Path

import jwt
import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.test import Client

from core.private_files import KeyFileError
from registry_project import BASE_DIR
from tests import preloaded
from tests.caller import Caller
from tokens.keys import ring

# A rotation tells the database which key signs.
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def key_path(settings: LazySettings, tmp_path: Path) -> Path:
    """Give each test keys of its own and return the path of the active one."""
    path = tmp_path / "keys" / "registry.key"
    auth = dataclasses.replace(settings.REGISTRY.auth, private_key=path)
    settings.REGISTRY = dataclasses.replace(settings.REGISTRY, auth=auth)
    ring.ensure_keys()
    return path


def kids() -> set[str]:
    return {key["kid"] for key in Client().get("/v2/token/jwks").json()["keys"]}


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def test_the_next_key_is_published_before_it_signs() -> None:
    published = kids()

    call_command("rotatekey")

    assert ring.current().active.kid in published


def test_a_rotation_signs_with_another_key(alice: Caller) -> None:
    before = alice.token("repository:alice/app:pull")

    call_command("rotatekey")

    after = alice.ask_token("repository:alice/app:pull").json()["token"]
    assert kid_of(after) != kid_of(before)


def test_a_token_of_the_retiring_key_counts_until_it_expires(alice: Caller) -> None:
    token = alice.token("repository:alice/app:pull,push")

    call_command("rotatekey")

    assert alice.get("/v2/", token=token).status_code == 200


def test_all_three_are_published(alice: Caller) -> None:
    retiring = ring.current().active.kid

    call_command("rotatekey")

    published = {key["kid"] for key in alice.get("/v2/token/jwks", token="").json()["keys"]}
    assert {retiring, ring.current().active.kid} < published
    assert len(published) == 3


def test_the_public_key_beside_it_is_the_active_ones(key_path: Path, alice: Caller) -> None:
    call_command("rotatekey")

    token = alice.ask_token().json()["token"]
    claims = jwt.decode(
        token, key_path.with_suffix(".pub").read_bytes(), algorithms=["ES256"], audience="Docker Registry"
    )
    assert claims["sub"] == "alice"


def test_a_key_that_has_retired_goes_with_the_next_rotation(key_path: Path) -> None:
    first = ring.current().active.kid
    call_command("rotatekey")
    (retiring,) = key_path.parent.glob("*.retiring-*.pub")
    long_ago = time.time() - 30 * 24 * 3600
    os.utime(retiring, (long_ago, long_ago))

    call_command("rotatekey")

    assert first not in kids()
    assert not retiring.exists()


def test_a_key_that_has_retired_counts_no_longer_where_it_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    retiring = ring.current().active.kid
    call_command("rotatekey")
    assert retiring in kids()
    later = time.time() + 30 * 24 * 3600

    monkeypatch.setattr(time, "time", lambda: later)

    assert retiring not in ring.current().by_kid
    assert retiring not in kids()


def test_a_removed_key_takes_its_tokens_with_it_at_once(key_path: Path, alice: Caller) -> None:
    token = alice.token("repository:alice/app:pull")
    assert alice.get("/v2/", token=token).status_code == 200
    call_command("rotatekey")
    (retiring,) = key_path.parent.glob("*.retiring-*.pub")

    retiring.unlink()

    assert alice.get("/v2/", token=token).status_code == 401


def test_another_process_rotates_for_all(key_path: Path, tmp_path: Path) -> None:
    before = ring.current().active.kid
    configuration = tmp_path / "config.yaml"
    configuration.write_text(f"auth: {{private_key: {key_path}}}\nstorage: {{filesystem: {{rootdirectory: data}}}}\n")

    command = [sys.executable, "manage.py", "rotatekey", "--config", str(configuration)]
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    preloaded.run(command, cwd=BASE_DIR, check=True, env=environment, timeout=120)

    assert ring.current().active.kid != before
    assert before in kids()


def test_a_rotation_that_was_cut_short_is_mended_at_the_next_start(key_path: Path) -> None:
    public = key_path.with_suffix(".pub")
    old_public = public.read_bytes()
    call_command("rotatekey")
    public.write_bytes(old_public)

    ring.ensure_keys()

    assert public.read_bytes() != old_public


def test_a_shared_secret_is_changed_in_the_configuration(settings: LazySettings) -> None:
    auth = dataclasses.replace(settings.REGISTRY.auth, signing_method="hmac", hmac_secret="x" * 32)
    settings.REGISTRY = dataclasses.replace(settings.REGISTRY, auth=auth)

    with pytest.raises(CommandError, match="hmac_secret"):
        call_command("rotatekey")


def test_a_key_that_others_can_read_stops_it(key_path: Path) -> None:
    key_path.chmod(0o644)

    with pytest.raises(KeyFileError, match=f"chmod 600 {key_path}"):
        ring.ensure_keys()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_rotates_the_server_still_reads(key_path: Path) -> None:
    os.chown(key_path.parent, 65534, 65534)

    call_command("rotatekey")

    made = {path for path in key_path.parent.iterdir() if path.name != key_path.name}
    assert len(made) == 3
    assert {path.stat().st_uid for path in made} == {65534}
