"""`manage.py checklogin`, backends of any class, and what a wrong configuration says."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from accounts.models import Account
from configuration.company_login import LdapUsers
from provisioning.export import yaml_text
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.identity_providers.conftest import Configure
from tests.identity_providers.slapd import group, person

needs_slapd = pytest.mark.client("slapd")


def checked(*arguments: str) -> str:
    out = StringIO()
    call_command("checklogin", *arguments, stdout=out)
    return out.getvalue()


@needs_slapd
@pytest.mark.usefixtures("cast", "configured")
def test_it_says_what_it_finds_of_somebody() -> None:
    found = checked("lara")

    assert f"entry: {person('lara')}\n" in found
    assert f"group: {group('registry-team')}: taken over\n" in found
    assert f"group: {group('chess')}: not in auth.ldap.groups.mirror\n" in found
    assert "account: lara: made at the first login\n" in found
    assert not Account.objects.filter(name="lara").exists()


@needs_slapd
@pytest.mark.usefixtures("cast", "configured")
def test_without_a_name_it_tries_the_bases() -> None:
    assert "ou=people,dc=example,dc=com: is there" in checked()


@needs_slapd
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bind_password": "wrong"}, "refuses the bind as cn=admin,dc=example,dc=com: invalidCredentials"),
        ({"users": LdapUsers(base="ou=nowhere,dc=example,dc=com")}, "below ou=nowhere,dc=example,dc=com failed"),
        ({"url": ("ldap://127.0.0.1:9",)}, "ldap://127.0.0.1:9: .*refused"),
        ({"start_tls": True}, "certificate verify failed"),
    ],
)
def test_a_fault_is_named(configured: Configure, db: None, change: dict[str, Any], message: str) -> None:
    configured(**change)

    with pytest.raises(CommandError, match=message):
        checked()


@needs_slapd
@pytest.mark.parametrize("name", ["nobody", "*", "*)(uid=*"])
def test_a_name_that_nobody_has_is_a_fault(configured: Configure, db: None, name: str) -> None:
    with pytest.raises(CommandError, match="finds nobody"):
        checked(name)


@pytest.mark.django_db
def test_without_a_provider_there_is_nothing_to_check() -> None:
    with pytest.raises(CommandError, match="none of auth"):
        checked()


class OneNameBackend:
    """A backend as Django's documentation describes it: it makes accounts by itself, and checks nothing else."""

    def authenticate(self, request: Any, username: str = "", password: str = "") -> Account | None:
        if password == "broken":
            raise RuntimeError("broken")
        if password != "of the backend":
            return None
        account, _ = Account.objects.get_or_create(name=username.lower(), defaults={"password": "!"})
        return account


@pytest.fixture
def backend(settings: Settings, forget: Callable[[], None], cast: None) -> str:
    path = f"{__name__}.{OneNameBackend.__name__}"
    settings.REGISTRY = replace(settings.REGISTRY, auth=replace(settings.REGISTRY.auth, backends=(path,)))
    settings.PASSWORD_PROVIDERS = {path: path}
    forget()
    return path


def status_of(name: str, password: str) -> int:
    return int(Caller(Client(), name, password).ask_token().status_code)


def test_any_backend_of_django_logs_people_in(backend: str) -> None:
    assert status_of("vera", "of the backend") == 200
    assert Account.objects.get(name="vera").provider == backend
    assert status_of("vera", "wrong") == 401


@pytest.mark.parametrize("name", ["alice", "ALICE"])
def test_a_backend_takes_over_no_account_that_was_made_here(backend: str, name: str) -> None:
    assert status_of(name, "of the backend") == 401
    assert Account.objects.get(name="alice").provider == ""
    assert status_of("alice", PASSWORDS["alice"]) == 200


def test_a_backend_that_fails_is_503_and_local_accounts_go_on(backend: str) -> None:
    assert status_of("vera", "broken") == 503
    assert status_of("alice", PASSWORDS["alice"]) == 200


def test_checklogin_names_each_backend_and_asks_none(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OneNameBackend, "authenticate", lambda *_args, **_options: pytest.fail("it was asked"))

    assert checked() == f"auth.backends: {backend}: OneNameBackend\n"
    assert checked("vera") == f"auth.backends: {backend}: OneNameBackend\n"


class NotMade:
    """A class that needs something to be made."""

    def __init__(self) -> None:
        raise KeyError("COMPANY_URL")


class NoBackend:
    """A class that checks no passwords."""


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("company.login.Backend", "ModuleNotFoundError: No module named 'company'"),
        (f"{__name__}.Missing", 'ImportError: Module ".*" does not define a "Missing" attribute/class'),
        (f"{__name__}.NotMade", "KeyError: 'COMPANY_URL'"),
        (f"{__name__}.NoBackend", "TypeError: it has no method authenticate"),
    ],
)
def test_checklogin_names_what_is_wrong_with_a_backend_and_tries_the_others(
    backend: str, settings: Settings, path: str, message: str
) -> None:
    auth = replace(settings.REGISTRY.auth, backends=(path, backend))
    settings.REGISTRY = replace(settings.REGISTRY, auth=auth)
    out = StringIO()

    with pytest.raises(CommandError, match=f"^auth.backends: {path}: {message}$"):
        call_command("checklogin", stdout=out)

    assert out.getvalue() == f"auth.backends: {backend}: OneNameBackend\n"


def test_the_export_leaves_accounts_of_providers_out(backend: str) -> None:
    status_of("vera", "of the backend")

    text = yaml_text(with_hashes=True)

    assert f"# Without the account 'vera', which is of {backend}." in text
    assert "vera:" not in text
