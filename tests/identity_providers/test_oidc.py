"""Sign in to the pages by an OpenID provider: one from a package, and one that misbehaves."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django import Settings

from accounts import second_factor
from accounts.models import Account, SecondFactor
from configuration.company_login import Oidc
from identity_providers.oidc import client as oidc_client
from tests.caller import Caller
from tests.identity_providers.provider import KEY, OTHER_KEY, Provider, packaged
from tests.web.test_pages import text_of
from tokens.access import store

pytestmark = pytest.mark.usefixtures("cast")

Configure = Callable[..., None]


@pytest.fixture
def configure(settings: Settings) -> Iterator[Configure]:
    """Return what configures `auth.oidc`."""

    def write(issuer: str, **values: Any) -> None:
        oidc = Oidc(issuer, "registry", "a secret", groups_claim="groups", mirror=("registry-*",), **values)
        settings.REGISTRY = replace(settings.REGISTRY, auth=replace(settings.REGISTRY.auth, oidc=oidc))
        oidc_client._provider.cache_clear()

    yield write
    oidc_client._provider.cache_clear()


@pytest.fixture
def provider(configure: Configure) -> Iterator[Provider]:
    with Provider().running() as running:
        running.claims = {"preferred_username": "nora"}
        running.user_info = {"sub": "1"}
        configure(running.issuer)
        yield running


def begin(client: Client, following: str = "/") -> dict[str, str]:
    """Return the parameters of the request that the browser takes to the provider."""
    location = client.get("/login/company", {"next": following}).headers["Location"]
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def sign_in(provider: Provider, client: Client, following: str = "/") -> Any:
    """Go to the provider and come back, which says who it is."""
    asked = begin(client, following)
    provider.claims.setdefault("nonce", asked["nonce"])
    return client.get("/login/company/callback", {"code": "c", "state": asked["state"]})


def is_signed_in(client: Client) -> bool:
    return "Sign out" in text_of(client, "/")


@pytest.fixture(scope="session")
def packaged_provider() -> Iterator[str]:
    """Run the provider of a package, and return its issuer."""
    with packaged() as issuer:
        yield issuer


def test_a_real_provider_signs_somebody_in_who_then_pulls_by_an_access_token(
    configure: Configure, packaged_provider: str
) -> None:
    claims = {"preferred_username": "nora", "groups": ["registry-team", "chess"]}
    assert requests.put(f"{packaged_provider}/users/4711", json=claims, timeout=5).ok
    configure(packaged_provider)
    client = Client()
    assert "Sign in with your company" in text_of(client, "/login")

    there = client.get("/login/company", {"next": "/account"}).headers["Location"]
    back = requests.post(there, data={"sub": "4711"}, allow_redirects=False, timeout=5).headers["Location"]
    done = client.get(back.partition("testserver")[2])

    assert done.headers["Location"] == "/account"
    account = Account.objects.get(name="nora")
    assert (account.provider, account.subject) == ("oidc", "4711")
    assert list(account.groups.values_list("name", flat=True)) == ["registry-team"]
    page = text_of(client, "/account")
    assert "access token" in page
    assert "Current password" not in page
    _, token = store.create(account, "docker")
    assert Caller(Client(), "nora", token).ask_token().status_code == 200
    assert Caller(Client(), "nora", "any password").ask_token().status_code == 401


@pytest.mark.parametrize(("subject", "is_in"), [("1", True), ("2", False), (None, False)])
def test_claims_of_the_user_info_count_for_the_same_subject_only(
    provider: Provider, subject: str | None, is_in: bool
) -> None:
    provider.claims = {}
    provider.user_info = {"sub": subject, "preferred_username": "nora", "groups": ["registry-a"]}
    client = Client()

    sign_in(provider, client)

    assert is_signed_in(client) is is_in


def test_the_request_has_state_nonce_and_pkce_and_the_code_its_verifier(provider: Provider) -> None:
    client = Client()
    asked = begin(client)
    provider.claims["nonce"] = asked["nonce"]
    client.get("/login/company/callback", {"code": "c", "state": asked["state"]})

    assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")
    assert len(asked["state"]) >= 16
    assert asked["redirect_uri"] == "http://testserver/login/company/callback"
    assert len(provider.forms[-1]["code_verifier"][0]) >= 43
    assert is_signed_in(client)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": ["registry-2"]},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": int(time.time()) - 3600},
        {"iat": int(time.time()) + 3600},
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": None, "nonce_supported": False},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"preferred_username": None},
        {"preferred_username": 7},
        {"preferred_username": "no name of an account"},
        {"preferred_username": "*)(uid=*"},
        {"azp": "another"},
    ],
)
def test_an_id_token_that_is_not_for_this_login_signs_nobody_in(provider: Provider, claims: dict[str, Any]) -> None:
    client = Client()
    provider.claims |= claims

    assert sign_in(provider, client).headers["Location"] == "/login"
    assert "The company sign-in was refused" in text_of(client, "/login")
    assert not is_signed_in(client)
    assert not Account.objects.filter(provider="oidc").exists()


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("none", None),
        ("HS256", "a secret that is long enough for it"),
        ("RS256", OTHER_KEY),
        ("RS512", KEY),
    ],
)
def test_a_token_with_another_signature_signs_nobody_in(provider: Provider, algorithm: str, key: Any) -> None:
    client = Client()
    provider.algorithm, provider.key = algorithm, key

    sign_in(provider, client)

    assert not is_signed_in(client)


def test_a_code_counts_only_in_the_browser_that_asked_and_once(provider: Provider) -> None:
    client, victim = Client(), Client()
    asked = begin(client)
    provider.claims["nonce"] = asked["nonce"]
    back = {"code": "c", "state": asked["state"]}

    victim.get("/login/company/callback", back)
    assert not is_signed_in(victim)
    client.get("/login/company/callback", back)
    assert is_signed_in(client)
    client.post("/logout")
    client.get("/login/company/callback", back)
    assert not is_signed_in(client)


@pytest.mark.parametrize("query", [{}, {"code": "c"}, {"code": "c", "state": "made-up"}, {"error": "access_denied"}])
def test_a_callback_that_nobody_asked_for_signs_nobody_in(provider: Provider, query: dict[str, str]) -> None:
    client = Client()

    assert client.get("/login/company/callback", query).headers["Location"] == "/login"
    assert not is_signed_in(client)


@pytest.mark.parametrize(
    ("following", "goes_to"), [("/account", "/account"), ("https://evil.example/", "/"), ("//evil.example/", "/")]
)
def test_it_returns_to_a_page_of_this_site_only(provider: Provider, following: str, goes_to: str) -> None:
    assert sign_in(provider, Client(), following).headers["Location"] == goes_to


@pytest.mark.parametrize("name", ["alice", "ALICE"])
def test_nobody_takes_over_an_account_that_was_made_here(provider: Provider, name: str) -> None:
    client = Client()
    provider.claims["preferred_username"] = name

    sign_in(provider, client)

    assert not is_signed_in(client)
    assert Account.objects.get(name="alice").provider == ""


def test_nobody_takes_over_an_account_by_choosing_its_name_at_the_provider(provider: Provider) -> None:
    sign_in(provider, Client())
    client = Client()
    provider.claims = {"preferred_username": "nora", "sub": "2"}

    sign_in(provider, client)

    assert not is_signed_in(client)
    assert Account.objects.get(name="nora").subject == "1"


def test_an_account_that_was_deactivated_here_stays_so(provider: Provider) -> None:
    sign_in(provider, Client())
    Account.objects.filter(name="nora").update(is_active=False)
    client = Client()
    provider.claims = {"preferred_username": "nora"}

    sign_in(provider, client)

    assert not is_signed_in(client)


def test_groups_follow_the_provider_at_each_login_and_those_by_hand_stay(provider: Provider) -> None:
    provider.claims |= {"groups": ["registry-a", "registry-b"]}
    sign_in(provider, Client())
    account = Account.objects.get(name="nora")
    account.groups.add(Group.objects.create(name="registry-hand"))
    provider.claims = {"preferred_username": "nora", "groups": "registry-b"}

    sign_in(provider, Client())

    assert set(account.groups.values_list("name", flat=True)) == {"registry-b", "registry-hand"}


@pytest.mark.parametrize(("is_verified", "is_in"), [(True, True), (False, False), ("true", False), (None, False)])
def test_an_address_names_an_account_only_if_the_provider_has_verified_it(
    provider: Provider, configure: Configure, is_verified: object, is_in: bool
) -> None:
    configure(provider.issuer, name_claim="email")
    provider.claims = {"email": "nora@example.com", "email_verified": is_verified}
    client = Client()

    sign_in(provider, client)

    assert is_signed_in(client) is is_in


def test_a_second_factor_is_asked_for(provider: Provider) -> None:
    sign_in(provider, Client())
    account = Account.objects.get(name="nora")
    SecondFactor.objects.create(account=account, seed=second_factor.new_seed(), last_step=0)
    client = Client()
    provider.claims = {"preferred_username": "nora"}

    assert sign_in(provider, client, "/account").headers["Location"] == "/login/code?next=%2Faccount"
    assert "Enter your code" in text_of(client, "/")


def test_the_session_lasts_as_configured(provider: Provider, configure: Configure) -> None:
    configure(provider.issuer, session=timedelta(minutes=10))
    client = Client()
    sign_in(provider, client)

    assert 590 < client.session.get_expiry_age() <= 600


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": None},
        {"id_token_signing_alg_values_supported": ["none", "HS256"]},
    ],
)
def test_a_provider_with_other_metadata_is_not_asked(provider: Provider, metadata: dict[str, Any]) -> None:
    provider.metadata = metadata

    assert Client().get("/login/company").status_code == 503


def test_a_provider_that_is_away_is_503_and_local_logins_go_on(configure: Configure) -> None:
    configure("http://127.0.0.1:9")

    answer = Client().get("/login/company")

    assert answer.status_code == 503
    assert re.search(rb"company sign-in can't be asked", answer.content)
    assert "Sign in" in text_of(Client(), "/login")


def test_without_a_provider_there_is_no_such_page() -> None:
    assert Client().get("/login/company").status_code == 404
    assert Client().get("/login/company/callback").status_code == 404
    assert "company" not in text_of(Client(), "/login")
