"""Logins of people of a directory, by docker and by the pages."""

import json
import logging
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts.models import Account
from configuration.company_login import LdapGroups
from identity_providers.ldap.connection import DirectoryError, connected
from identity_providers.ldap.refresher import Refresher
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.identity_providers.conftest import Configure
from tests.identity_providers.slapd import GROUPS, Slapd, add_group, add_person, group, person
from tests.ports import free_port
from tests.web.test_pages import signed_in, text_of
from tokens.access import store

pytestmark = [pytest.mark.client("slapd"), pytest.mark.usefixtures("cast", "configured")]

LARA = "lara of the directory"


def docker_login(name: str, password: str) -> Any:
    """Answer a `docker login`, which asks for a token without a scope."""
    return Caller(Client(), name, password).ask_token()


def groups_of(name: str) -> set[str]:
    return set(Account.objects.get(name=name).groups.values_list("name", flat=True))


def refresh() -> None:
    """Do at once what the thread of a worker does within the cache time."""
    Account.objects.update(checked_at=None)
    Refresher().refresh_batch()


def test_a_person_logs_in_and_gets_an_account_without_a_password() -> None:
    assert docker_login("lara", LARA).status_code == 200

    account = Account.objects.get(name="lara")
    assert (account.provider, account.has_usable_password(), account.is_staff) == ("ldap", False, False)


@pytest.mark.parametrize("password", ["wrong", "", "\0", f"{LARA}\0", "lara-password"])
def test_a_wrong_password_is_401(password: str) -> None:
    assert docker_login("lara", password).status_code == 401
    assert not Account.objects.filter(name="lara").exists()


def test_an_empty_password_never_binds_although_the_directory_would_let_it(configured: Configure) -> None:
    with connected(configured()) as directory:
        assert directory.accepts(person("lara"), "") is False


@pytest.mark.parametrize("name", ["*)(uid=*", "lara)(uid=*", "*", "l*", "lara\0", "(|(uid=*))", "lara\\2a", "nobody"])
def test_a_name_is_never_a_filter(name: str) -> None:
    assert docker_login(name, LARA).status_code == 401
    assert not Account.objects.filter(provider="ldap").exists()


def test_the_filter_escapes_a_name_that_gets_there(configured: Configure) -> None:
    from identity_providers.ldap.directory import find

    ldap = configured()
    with connected(ldap) as directory:
        assert find(directory, ldap, "*") is None
        assert find(directory, ldap, "*)(uid=lara") is None
        assert find(directory, ldap, "%(dn)s") is None


def test_a_person_signs_in_to_the_pages() -> None:
    client = Client()

    assert client.post("/login", {"username": "lara", "password": LARA}).status_code == 302
    assert ">lara</a>" in text_of(client, "/")


def test_groups_and_groups_of_groups_are_taken_over_if_a_pattern_names_them() -> None:
    docker_login("lara", LARA)

    assert groups_of("lara") == {"registry-team", "registry-all"}


def test_without_nested_only_the_own_groups_count(configured: Configure) -> None:
    configured(groups=LdapGroups(GROUPS, mirror=("registry-*",), nested=False))

    docker_login("lara", LARA)

    assert groups_of("lara") == {"registry-team"}


def test_a_loop_of_groups_ends(slapd: Slapd) -> None:
    import ldap3

    with slapd.connection() as connection:
        connection.modify(group("registry-team"), {"member": [(ldap3.MODIFY_ADD, [group("registry-all")])]})

    assert docker_login("lara", LARA).status_code == 200
    assert groups_of("lara") == {"registry-team", "registry-all"}


def test_a_changed_group_counts_when_the_account_is_looked_up_again(slapd: Slapd) -> None:
    docker_login("lara", LARA)
    with slapd.connection() as connection:
        connection.delete(group("registry-team"))
        add_group(connection, "registry-new", [person("lara")])

    refresh()

    assert groups_of("lara") == {"registry-new"}


def test_a_membership_given_by_hand_stays(slapd: Slapd) -> None:
    docker_login("lara", LARA)
    account = Account.objects.get(name="lara")
    account.groups.add(Group.objects.create(name="registry-hand"), Group.objects.create(name="ours"))

    refresh()

    assert groups_of("lara") == {"registry-team", "registry-all", "registry-hand", "ours"}


def test_a_group_with_permissions_is_taken_over_only_by_its_own_name(configured: Configure) -> None:
    Group.objects.create(name="registry-team").permissions.add(Permission.objects.all()[0])
    docker_login("lara", LARA)
    assert groups_of("lara") == {"registry-all"}

    configured(groups=LdapGroups(GROUPS, mirror=("registry-team",)))
    docker_login("lara", LARA)

    assert groups_of("lara") == {"registry-team"}


@pytest.mark.parametrize("wanted", ["registry-team", group("registry-all").upper()])
def test_members_of_the_superuser_group_are_superusers_as_long_as_they_are(
    configured: Configure, slapd: Slapd, wanted: str
) -> None:
    configured(superuser_group=wanted)
    docker_login("lara", LARA)
    account = Account.objects.get(name="lara")
    assert (account.is_superuser, account.is_staff) == (True, True)

    with slapd.connection() as connection:
        connection.delete(group("registry-team"))
    refresh()

    account.refresh_from_db()
    assert account.is_superuser is False


@pytest.mark.parametrize("spelling", ["alice", "Alice"])
def test_a_person_never_takes_over_an_account_that_was_made_here(
    slapd: Slapd, spelling: str, caplog: pytest.LogCaptureFixture
) -> None:
    with slapd.connection() as connection:
        add_person(connection, "alice")

    assert docker_login(spelling, "alice of the directory").status_code == 401
    assert docker_login("alice", PASSWORDS["alice"]).status_code == 200
    assert not Account.objects.filter(provider="ldap").exists()


def test_a_local_password_never_counts_for_an_account_of_the_directory() -> None:
    docker_login("lara", LARA)
    account = Account.objects.get(name="lara")
    account.set_password("a local password")
    account.save()

    assert docker_login("lara", "a local password").status_code == 401


def test_an_account_that_was_deactivated_here_stays_so(forget: Callable[[], None]) -> None:
    docker_login("lara", LARA)
    Account.objects.filter(name="lara").update(is_active=False)
    forget()

    assert docker_login("lara", LARA).status_code == 401
    refresh()
    assert Account.objects.get(name="lara").is_active is False


def test_tokens_and_sessions_of_somebody_who_left_end_and_come_back(slapd: Slapd) -> None:
    docker_login("lara", LARA)
    account = Account.objects.get(name="lara")
    client = Client()
    client.post("/login", {"username": "lara", "password": LARA})
    _, token = store.create(account, "ci")
    with slapd.connection() as connection:
        connection.delete(person("lara"))

    refresh()
    assert docker_login("lara", token).status_code == 401
    assert docker_login("lara", LARA).status_code == 401
    assert "Sign in" in text_of(client, "/")

    Account.objects.filter(name="lara").update(subject="")  # as another entry of the same name would be refused
    with slapd.connection() as connection:
        add_person(connection, "lara")
    refresh()
    account.refresh_from_db()
    assert (account.is_active, account.missing_since) == (True, None)


def test_a_later_person_of_the_same_name_has_none_of_the_tokens(slapd: Slapd, forget: Callable[[], None]) -> None:
    docker_login("lara", LARA)
    _, token = store.create(Account.objects.get(name="lara"), "ci")
    assert docker_login("lara", token).status_code == 200
    with slapd.connection() as connection:
        connection.delete(person("lara"))
        add_person(connection, "lara")

    forget()
    assert docker_login("lara", LARA).status_code == 200

    assert docker_login("lara", token).status_code == 401


def test_a_name_in_another_case_is_the_same_account() -> None:
    assert docker_login("LARA", LARA).status_code == 200
    assert list(Account.objects.filter(provider="ldap").values_list("name", flat=True)) == ["lara"]


def test_spellings_of_a_name_share_its_tries() -> None:
    spellings = ["lara", "Lara", "LARA", "lARA"]
    statuses = [docker_login(spellings[n % 4], f"guess {n}").status_code for n in range(16)]

    assert statuses[0] == 401
    assert docker_login("laRA", LARA).status_code == 401
    assert docker_login("lara", LARA).status_code == 429


def test_a_directory_that_is_away_is_503_with_the_reason_and_local_accounts_go_on(
    slapd: Slapd, forget: Callable[[], None]
) -> None:
    docker_login("lara", LARA)
    _, token = store.create(Account.objects.get(name="lara"), "ci")
    forget()

    with slapd.stopped():
        answer = docker_login("lara", LARA)
        page = Client().post("/login", {"username": "lara", "password": LARA})
        api = Client().get("/api/v1/repositories", headers={"Authorization": Caller(Client(), "lara", LARA).basic})
        local = docker_login("alice", PASSWORDS["alice"])
        by_token = docker_login("lara", token)

    assert answer.status_code == page.status_code == api.status_code == 503
    assert "directory can't be asked" in json.loads(answer.content)["errors"][0]["message"]
    assert answer.headers["Retry-After"]
    assert b"directory can't be asked" in page.content
    assert (local.status_code, by_token.status_code) == (200, 200)
    assert "alice" in text_of(signed_in("alice"), "/")


def test_a_checked_password_counts_for_the_cache_time(slapd: Slapd) -> None:
    docker_login("lara", LARA)
    docker_login("lara", LARA)

    with slapd.stopped():
        assert docker_login("lara", LARA).status_code == 200


def test_a_directory_that_never_answers_is_503_within_its_timeout(configured: Configure) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as silent:
        configured(url=(f"ldap://127.0.0.1:{silent.getsockname()[1]}",))

        assert docker_login("lara", LARA).status_code == 503
        # The next one does not wait: the directory was away a moment ago.
        assert docker_login("mats", LARA).status_code == 503
        assert docker_login("alice", PASSWORDS["alice"]).status_code == 200


def test_tls_and_start_tls_check_the_certificate(configured: Configure, slapd: Slapd) -> None:
    configured(url=(slapd.tls_url,), ca_file=slapd.ca_file)
    assert docker_login("lara", LARA).status_code == 200
    configured(url=(slapd.url,), start_tls=True, ca_file=slapd.ca_file)
    assert docker_login("mats", "mats of the directory").status_code == 200

    for change in ({"url": (slapd.tls_url,)}, {"url": (slapd.url,), "start_tls": True}):
        with pytest.raises(DirectoryError, match="certificate verify failed"), connected(configured(**change)):
            pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bind_password": "wrong"}, "refuses the bind as cn=admin,dc=example,dc=com: invalidCredentials"),
        ({"bind_dn": "cn=x", "bind_password": "y"}, "refuses the bind as cn=x"),
    ],
)
def test_a_refused_bind_is_named_in_the_log(
    configured: Configure, change: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    configured(**change)
    with caplog.at_level(logging.WARNING):
        assert docker_login("lara", LARA).status_code == 503

    assert message in " ".join(str(getattr(record, "reason", "")) for record in caplog.records)
    assert LARA not in caplog.text


def test_what_the_cache_time_says_is_what_the_refresher_looks_up(configured: Configure) -> None:
    configured(cache=timedelta(hours=1))
    docker_login("lara", LARA)

    assert Refresher().refresh_batch() is False
    Account.objects.update(checked_at=None)
    assert Refresher().refresh_batch() is True


def test_an_account_is_kept_while_the_directory_is_away(slapd: Slapd) -> None:
    docker_login("lara", LARA)
    with slapd.stopped(), pytest.raises(DirectoryError):
        refresh()

    account = Account.objects.get(name="lara")
    assert (account.is_active, account.checked_at) == (True, None)
