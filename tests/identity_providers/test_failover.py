"""Several servers of one directory: logins go on when one of them ends, also in the middle of a login."""

import logging
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from identity_providers.ldap import directory
from identity_providers.ldap.connection import Directory, DirectoryError, connected
from tests.caller import Caller
from tests.identity_providers.conftest import Configure
from tests.identity_providers.slapd import Slapd
from tests.identity_providers.test_checklogin import checked, status_of
from tests.ports import free_port

pytestmark = [pytest.mark.client("slapd"), pytest.mark.usefixtures("cast")]
LARA = "lara of the directory"


@pytest.fixture(scope="module")
def second_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    server = Slapd(tmp_path_factory.mktemp("second"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def second(second_server: Slapd) -> Iterator[Slapd]:
    """Return another server with the same entries, which runs again after the test."""
    second_server.fill()
    yield second_server
    if not second_server.is_running:
        second_server.start()


@pytest.fixture
def both(configured: Configure, slapd: Slapd, second: Slapd) -> Any:
    """Configure the second server first, and the one of all tests after it."""
    return configured(url=(second.url, slapd.url))


def asked(ldap: Any) -> str:
    with connected(ldap) as found:
        return found.url


def test_the_first_that_answers_is_asked(both: Any, slapd: Slapd, second: Slapd) -> None:
    assert asked(both) == second.url
    second.kill()

    assert asked(both) == slapd.url
    assert status_of("lara", LARA) == 200
    assert status_of("lara", "wrong") == 401


def test_a_server_that_is_killed_in_the_middle_of_a_login_costs_no_login(
    both: Any, second: Slapd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The kill comes after the person was found, before the password is checked."""
    found: list[str] = []
    real = directory.find

    def find_and_kill(place: Directory, *rest: Any) -> Any:
        person = real(place, *rest)
        found.append(place.url)
        if second.is_running:
            second.kill()
        return person

    monkeypatch.setattr("identity_providers.ldap.backend.find", find_and_kill)
    with caplog.at_level(logging.WARNING):
        assert status_of("lara", LARA) == 200

    assert found == [both.url[0], both.url[1]]
    assert LARA not in caplog.text


def test_one_that_is_away_is_not_waited_for_at_each_login(configured: Configure, slapd: Slapd) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as silent:
        ldap = configured(url=(f"ldap://127.0.0.1:{silent.getsockname()[1]}", slapd.url), timeout=timedelta(seconds=1))
        assert [asked(ldap), asked(ldap), asked(ldap)] == [slapd.url] * 3

        silent.setblocking(False)
        # The first alone was tried.
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_one_that_answers_again_is_asked_again(
    both: Any, second: Slapd, slapd: Slapd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("identity_providers.ldap.connection.AWAY_SECONDS", 0.0)
    second.kill()
    assert asked(both) == slapd.url

    second.start()

    assert asked(both) == second.url


def test_if_none_answers_the_login_is_503_and_both_are_named(configured: Configure, db: None, alice: Caller) -> None:
    one, other = (f"ldap://127.0.0.1:{free_port()}" for _ in range(2))
    ldap = configured(url=(one, other))

    with pytest.raises(DirectoryError, match=f"{one}: .*; {other}: "), connected(ldap):
        pass
    assert status_of("lara", LARA) == 503
    assert alice.ask_token().status_code == 200


def test_the_password_goes_to_no_server_whose_certificate_is_wrong(
    configured: Configure, slapd: Slapd, second: Slapd
) -> None:
    """The authority is that of one server: the other is left out, as one that is away."""
    ldap = configured(url=(second.tls_url, slapd.tls_url), ca_file=slapd.ca_file)

    assert asked(ldap) == slapd.tls_url
    assert status_of("lara", LARA) == 200


def test_checklogin_says_which_server_answers(both: Any, second: Slapd, slapd: Slapd, tmp_path: Path) -> None:
    assert f"auth.ldap: {second.url}: bound as" in checked()
    second.kill()

    assert f"auth.ldap: {slapd.url}: bound as" in checked()
