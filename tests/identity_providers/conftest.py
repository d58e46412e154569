"""The directory, and a registry that asks it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from accounts import authentication, providers
from configuration.company_login import Ldap, LdapGroups, LdapUsers
from identity_providers.ldap import connection
from tests.identity_providers.slapd import ADMIN, ADMIN_PASSWORD, GROUPS, PEOPLE, Slapd

Configure = Callable[..., Ldap]


@pytest.fixture(scope="session")
def slapd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    server = Slapd(tmp_path_factory.mktemp("slapd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def slapd(slapd_server: Slapd) -> Slapd:
    slapd_server.fill()
    return slapd_server


@pytest.fixture
def forget() -> Iterator[Callable[[], None]]:
    """Return what forgets the answers of providers, as the cache time does."""

    def clear() -> None:
        connection._servers = connection._Servers()
        providers.backends.cache_clear()
        authentication._provider_caches.cache_clear()

    clear()
    yield clear
    clear()


@pytest.fixture
def configured(slapd: Slapd, settings: Settings, forget: Callable[[], None]) -> Configure:
    """Return what configures `auth.ldap` with other values than those of most tests."""

    def configure(**changes: Any) -> Ldap:
        groups = LdapGroups(base=GROUPS, mirror=("registry-*",))
        users = LdapUsers(base=PEOPLE)
        ldap = Ldap(
            (slapd.url,), users, groups, bind_dn=ADMIN, bind_password=ADMIN_PASSWORD, timeout=timedelta(seconds=1)
        )
        ldap = replace(ldap, **changes)
        settings.REGISTRY = replace(settings.REGISTRY, auth=replace(settings.REGISTRY.auth, ldap=ldap))
        settings.PASSWORD_PROVIDERS = {"ldap": "identity_providers.ldap.backend.DirectoryBackend"}
        forget()
        return ldap

    configure()
    return configure
