"""Tokens for other registries that trust this one: `auth.services`."""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from accounts.models import Account
from acl.models import Rule
from configuration.identities import TokenService
from tests.caller import Caller
from tests.tokens.test_access_tokens import made
from tokens import short_path
from tokens.keys import ring

pytestmark = pytest.mark.usefixtures("cast")
OLD = TokenService("old", ("alice/*", "public/*"), "listers", "libtrust")
NEW = TokenService("new")


@pytest.fixture(autouse=True)
def _services(settings: Settings) -> None:
    settings.REGISTRY = replace(settings.REGISTRY, auth=replace(settings.REGISTRY.auth, services=(OLD, NEW)))
    short_path._asked.cache_clear()


def login(name: str, password: str | None = None) -> str:
    password = password or f"{name}'s password"
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def asked(name: str | None, *scopes: str, service: str = "old", password: str | None = None) -> str:
    """Return the token of an account, None: of nobody."""
    sent = {} if name is None else {"HTTP_AUTHORIZATION": login(name, password)}
    query = urlencode({"service": service, "scope": scopes}, doseq=True)
    response = Client().get(f"/v2/token?{query}", **sent)  # type: ignore[arg-type]
    assert response.status_code == 200, response.content
    token: str = response.json()["token"]
    return token


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def granted(name: str | None, *scopes: str, service: str = "old", password: str | None = None) -> list[list[str]]:
    found = claims(asked(name, *scopes, service=service, password=password))
    return [entry["actions"] for entry in found["access"]]


def test_its_audience_is_the_other_registry_and_it_says_nothing_about_the_account() -> None:
    token = asked("alice", "repository:alice/app:pull,push")

    found = claims(token)
    assert (found["aud"], found["iss"], found["sub"]) == ("old", "registry-auth-server", "alice")
    assert found["access"] == [{"type": "repository", "name": "alice/app", "actions": ["pull", "push"]}]
    assert found.keys() == {"iss", "aud", "sub", "access", "exp", "nbf", "iat", "jti"}


def test_the_rules_decide_and_the_list_of_repositories() -> None:
    assert granted("bob", "repository:alice/app:pull,push,delete") == [["pull"]]
    assert granted("charlie", "repository:alice/app:pull") == [[]]
    assert granted(None, "repository:public/app:pull,push") == [["pull"]]
    Rule.objects.create(subject="alice", name="*", actions="*")
    assert granted("alice", "repository:team/app:pull") == [[]]
    assert granted("alice", "repository:team/app:pull", service="new") == [["pull"]]
    assert granted("alice", "repository:Alice:pull", "other:alice/app:pull") == [[], []]


def test_what_is_allowed_for_some_tags_only_is_not_granted() -> None:
    Rule.objects.create(subject="bob", name="alice/*", actions="push", tags="v*")
    assert granted("bob", "repository:alice/app:pull,push") == [["pull"]]

    Rule.objects.create(subject="alice", name="alice/frozen", actions="push,delete", tags="v*", is_deny=True)
    assert granted("alice", "repository:alice/frozen:pull,push,delete") == [["pull"]]


def test_the_catalog_takes_a_group() -> None:
    assert granted("alice", "registry:catalog:*") == [[]]

    Account.objects.get(name="alice").groups.add(Group.objects.create(name="listers"))
    assert granted("alice", "registry:catalog:*") == [["*"]]
    assert granted("alice", "registry:catalog:*", service="new") == [[]]
    assert granted(None, "registry:catalog:*", service="new") == [[]]


def test_an_access_token_with_scopes_does_not_list_the_catalog() -> None:
    Account.objects.get(name="alice").groups.add(Group.objects.create(name="listers"))
    limited, whole = made("alice", "alice/app:pull", name="limited"), made("alice", name="whole")

    assert granted("alice", "registry:catalog:*", password=limited) == [[]]
    assert granted("alice", "repository:alice/app:pull,push", password=limited) == [["pull"]]
    assert granted("alice", "registry:catalog:*", password=whole) == [["*"]]


def test_its_token_is_nothing_here(alice: Caller) -> None:
    scope = "repository:alice/app:pull"
    foreign, own = asked("alice", scope), asked("alice", scope, service="Docker Registry")

    for path in ("/v2/", "/v2/alice/app/tags/list"):
        refused = Client().get(path, HTTP_AUTHORIZATION=f"Bearer {foreign}")
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused["WWW-Authenticate"]
    assert Client().get("/v2/", HTTP_AUTHORIZATION=f"Bearer {own}").status_code == 200
    assert claims(own)["aud"] == "Docker Registry"


def test_an_unknown_service_is_refused() -> None:
    response = Client().get("/v2/token?service=other", HTTP_AUTHORIZATION=login("alice"))

    assert response.status_code == 400
    assert "SERVICE_INVALID" in response.content.decode()


@pytest.mark.parametrize("grant", ["password", "refresh_token"])
def test_a_form_is_for_the_service_too(grant: str) -> None:
    form = {"service": "old", "scope": "repository:alice/app:pull", "client_id": "test", "access_type": "offline"}
    first = form | {"grant_type": "password", "username": "alice", "password": "alice's password"}
    answer = Client().post("/v2/token", urlencode(first), content_type="application/x-www-form-urlencoded").json()
    if grant == "refresh_token":
        again = form | {"grant_type": grant, "refresh_token": answer["refresh_token"]}
        answer = Client().post("/v2/token", urlencode(again), content_type="application/x-www-form-urlencoded").json()

    assert claims(answer["access_token"])["aud"] == "old"
    assert "account" not in claims(answer["access_token"])


def test_the_short_path_is_for_the_service_too() -> None:
    asked("alice")
    query = urlencode({"service": "old", "scope": "repository:alice/app:pull"})
    for meta in ({"HTTP_AUTHORIZATION": login("alice")}, {}):
        answer = short_path.answer({"REMOTE_ADDR": "127.0.0.1", **meta}, query)
        assert answer is not None
        assert claims(json.loads(answer.payload)["token"])["aud"] == "old"


def test_the_key_is_called_as_the_registry_knows_it() -> None:
    key = ring.current().active
    der = key.verifying.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()

    named = jwt.get_unverified_header(asked("alice"))["kid"]
    assert named.replace(":", "") == text
    assert [len(part) for part in named.split(":")] == [4] * 12
    assert jwt.get_unverified_header(asked("alice", service="new"))["kid"] == key.kid


def test_the_keys_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("printjwks")
    shown = json.loads(capsys.readouterr().out)
    assert shown == Client().get("/v2/token/jwks").json()

    call_command("printjwks", "--certificates")
    certificates = x509.load_pem_x509_certificates(capsys.readouterr().out.encode())
    assert [each.public_key() for each in certificates] == [key.verifying for key in ring.current().by_kid.values()]
    active: Any = certificates[list(ring.current().by_kid).index(ring.current().active.kid)].public_key()
    assert jwt.decode(asked("alice", service="new"), active, ["ES256"], audience="new")["sub"] == "alice"


def test_a_secret_is_not_printed(settings: Settings) -> None:
    auth = replace(settings.REGISTRY.auth, signing_method="hmac", hmac_secret="s" * 32)
    settings.REGISTRY = replace(settings.REGISTRY, auth=auth)

    for options in ([], ["--certificates"]):
        with pytest.raises(CommandError, match="no public key"):
            call_command("printjwks", *options)
