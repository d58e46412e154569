"""Tokens of a trusted issuer as passwords: what they become, and what is refused with its reason in the log."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django import Settings

from accounts import robots
from accounts.models import Account, FailedLogin
from accounts.throttling import throttle
from acl.models import Rule
from configuration.identities import ClaimMapping, TrustedIssuer
from distribution.models import Upload
from tests.api.asking import answered
from tests.audit.conftest import Written, queue, written  # noqa: F401 - fixtures
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.images import push_image
from tests.tokens.test_oauth import with_password
from tests.tokens.workload.issuer import AUDIENCE, Issuer, running
from tests.web.test_pages import signed_in
from tokens.models import RefreshToken
from tokens.workload import keys

MAIN = ClaimMapping((("repository", "org/app"), ("ref", "refs/heads/main")), account="ci-app")
ORG = ClaimMapping((("repository", "org/*"),), group="org-ci")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    with running(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer


@pytest.fixture
def issuer(cast: None, server: Issuer, settings: Settings) -> Iterator[Issuer]:
    """Trust a local issuer: main of org/app is the robot ci-app, other branches and repositories are of org-ci."""
    robots.create("ci-app", Group.objects.create(name="team"))
    Rule.objects.create(subject_kind="account", subject="ci-app", name="org/app", actions="pull,push")
    Rule.objects.create(subject_kind="group", subject="org-ci", name="org/*", actions="pull")
    kept = dict(server.keys)
    trust(settings, TrustedIssuer(server.url, AUDIENCE, (MAIN, ORG), ca_file=server.ca_file))
    keys.keys_of.cache_clear()
    yield server
    server.keys, server.is_down, server.location, server.jwks_uri = kept, False, "", f"{server.url}/keys"


def trust(settings: Settings, *issuers: TrustedIssuer) -> None:
    registry = settings.REGISTRY
    settings.REGISTRY = replace(registry, auth=replace(registry.auth, trusted_issuers=issuers))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the monotonic clock of the keys ahead."""
    ahead = [0.0]

    class Time:
        @staticmethod
        def monotonic() -> float:
            return time.monotonic() + ahead[0]

        @staticmethod
        def time() -> float:
            return time.time() + ahead[0]

    monkeypatch.setattr(keys, "time", Time)

    def advance(seconds: float) -> None:
        ahead[0] += seconds

    return advance


def login(token: str, scope: str = "repository:org/app:pull,push", name: str = "oidc") -> Any:
    return Caller(Client(), name, token).ask_token(scope)


def granted(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return str(answer.json()["scope"])


def test_a_token_becomes_the_account_of_the_first_mapping_that_matches(issuer: Issuer) -> None:
    assert granted(login(issuer.token())) == "repository:org/app:pull,push"


def test_a_token_becomes_a_member_of_a_group(issuer: Issuer) -> None:
    assert granted(login(issuer.token(ref="refs/heads/other"))) == "repository:org/app:pull"


def test_a_workload_pushes(issuer: Issuer) -> None:
    push_image(Caller(Client(), "oidc", issuer.token()), "org/app", "v1")


def test_a_workload_of_a_group_is_no_account(issuer: Issuer) -> None:
    Rule.objects.create(subject_kind="account", subject="*", name="org/*", actions="push")
    Rule.objects.create(subject_kind="account", subject="*", name="${account}/*", actions="*")
    Rule.objects.create(subject_kind="anonymous", subject="", name="open/*", actions="pull")
    token = issuer.token(ref="x", sub="alice")

    assert granted(login(token)) == "repository:org/app:pull"
    assert granted(login(token, "repository:alice/app:pull")) == ""
    assert granted(login(token, "repository:open/app:pull")) == "repository:open/app:pull"


def test_uploads_of_workloads_are_their_own(issuer: Issuer) -> None:
    Rule.objects.create(subject_kind="anonymous", subject="", name="org/app", actions="pull,push")
    one = Caller(Client(), "oidc", issuer.token(ref="x", sub="one"))
    location = one.post("/v2/org/app/blobs/uploads/").headers["Location"]
    scopes = ("repository:org/app:pull,push",)
    assert Upload.objects.get().account_pk < 0

    for other in (Caller(Client(), "oidc", issuer.token(ref="x", sub="two")), Caller(Client(), "", "")):
        assert other.patch(location, b"more", scopes=scopes).status_code == 404
    assert one.patch(location, b"more", scopes=scopes).status_code == 202


def test_rules_count_at_the_moment_of_use(issuer: Issuer) -> None:
    caller = Caller(Client(), "oidc", issuer.token())
    push_image(caller, "org/app", "v1")

    Rule.objects.filter(subject="ci-app").delete()

    assert caller.get("/v2/org/app/manifests/v1").status_code == 401


@pytest.mark.parametrize("how", ["account deactivated", "owner deleted", "mapping removed", "issuer removed"])
def test_a_bearer_token_ends_with_what_it_is_of(issuer: Issuer, settings: Settings, how: str) -> None:
    caller = Caller(Client(), "oidc", issuer.token())
    push_image(caller, "org/app", "v1")
    trusted = settings.REGISTRY.auth.trusted_issuers[0]

    if how == "account deactivated":
        Account.objects.filter(name="ci-app").update(is_active=False)
    elif how == "owner deleted":
        Group.objects.filter(name="team").delete()
    else:
        trust(settings, *([replace(trusted, mapping=(ORG,))] if how == "mapping removed" else []))
        # Another configuration is that of another process, which has cached nothing.
        Rule.objects.create(subject_kind="account", subject="nobody", name="x", actions="pull")

    assert caller.get("/v2/org/app/manifests/v1").status_code == 401


def test_a_bearer_token_lives_no_longer_than_the_token(issuer: Issuer) -> None:
    assert login(issuer.token(exp=int(time.time()) + 90)).json()["expires_in"] <= 90


def test_there_is_no_refresh_token(issuer: Issuer) -> None:
    answer = with_password(Caller(Client(), "oidc", issuer.token()), access_type="offline")

    assert answer.status_code == 200
    assert "refresh_token" not in answer.json()
    assert not RefreshToken.objects.exists()


def test_the_audit_has_issuer_and_subject(issuer: Issuer, written: Written) -> None:  # noqa: F811
    login(issuer.token())

    event = next(event for event in written() if event.kind == "login")
    assert (event.account, event.credential) == ("ci-app", "workload identity")
    assert event.detail.endswith(f"repo:org/app:ref:refs/heads/main of {issuer.url}")


def unsigned(issuer: Issuer) -> str:
    return issuer.token(headers={"alg": "none"})


def signed_with_the_public_key(issuer: Issuer) -> str:
    return issuer.token(headers={"alg": "HS256"}, secret=issuer.public_pem)


def now() -> int:
    """Return the time of the test: a suite takes longer than some of these tokens are valid."""
    return int(time.time())


REFUSED: list[tuple[Callable[[Issuer], str], str]] = [
    (lambda issuer: issuer.token(aud="another"), "InvalidAudienceError"),
    (lambda issuer: issuer.token(aud=None), "MissingRequiredClaimError"),
    (lambda issuer: issuer.token(exp=now() - 600, iat=now() - 900), "ExpiredSignatureError"),
    (lambda issuer: issuer.token(exp=None), "MissingRequiredClaimError"),
    (lambda issuer: issuer.token(exp=now() + 10**6), "more than 24 hours"),
    (unsigned, "the algorithm 'none'"),
    (signed_with_the_public_key, "the algorithm 'HS256'"),
    (lambda issuer: issuer.token(algorithm="PS256"), "the algorithm 'PS256'"),
    (lambda issuer: issuer.token(iss="https://evil.example.org"), "'https://evil.example.org' is not trusted"),
    (lambda issuer: issuer.token(iss=["a", "list"]), "can't be read|is not trusted"),
    (lambda issuer: issuer.token(kid="unknown"), "has no key 'unknown'"),
    (lambda issuer: issuer.token(headers={"kid": None}), "can't be read|no kid"),
    (lambda issuer: issuer.token(headers={"crit": ["b64"], "b64": True}), "critical|can't be read"),
    (lambda issuer: issuer.token(nbf=now() + 3600), "ImmatureSignatureError"),
    (lambda issuer: issuer.token(iat=now() + 3600), "ImmatureSignatureError"),
    (lambda issuer: issuer.token(exp=str(now() + 300)), "exp"),
    (lambda issuer: issuer.token(exp=now() + 300.5), "exp is not an integer"),
    (lambda issuer: issuer.token(nbf="x"), "nbf|DecodeError"),
    (lambda issuer: issuer.token(sub=""), "claim sub"),
    (lambda issuer: issuer.token(sub="a\nb"), "claim sub"),
    (lambda issuer: issuer.token(sub="a" * 256), "claim sub"),
    (lambda issuer: issuer.token(sub=7), "sub|Subject"),
    (lambda issuer: issuer.token(repository=["org/app"]), "no mapping matches"),
    (lambda issuer: issuer.token(repository={"org/app": 1}), "no mapping matches"),
    (lambda issuer: issuer.token(repository="other/app"), "no mapping matches its claims: repository: 'other/app'"),
    (lambda issuer: issuer.token(repository=None), "no mapping matches"),
    (lambda issuer: issuer.token()[:-9] + "AAAAAAAAA", "InvalidSignatureError|DecodeError"),
    (lambda issuer: issuer.token(more="x" * 13_000), "more than 16384 bytes"),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_a_refused_token_is_a_plain_401_and_the_log_says_why(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, make: Callable[[Issuer], str], reason: str
) -> None:
    token = make(issuer)

    answer = login(token)

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "UNAUTHORIZED")
    (record,) = [each for each in caplog.records if hasattr(each, "reason") and each.name == "accounts.login_log"]
    assert any(part in record.reason for part in reason.split("|")), record.reason
    assert all(part not in answer.content.decode() for part in (*token.split("."), *reason.split("|")) if part)


def test_administrators_see_the_issuers_of_the_file(issuer: Issuer) -> None:
    login(issuer.token())
    Account.objects.filter(name="charlie").update(is_staff=True, is_superuser=True)

    (found,) = answered(Caller(Client(), "charlie", PASSWORDS["charlie"]), "trusted-issuers")["items"]
    page = signed_in("charlie").get("/admin/tokens/accesstoken/issuers/").content.decode()

    assert (found["issuer"], found["mapping"][1]) == (
        issuer.url,
        {"when": dict(ORG.when), "account": None, "group": "org-ci"},
    )
    assert found["keys_fetched_at"] is not None
    assert "a member of the group org-ci" in page


def test_no_token_is_in_a_log(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = [issuer.token(), issuer.token(aud="x"), unsigned(issuer)]

    for token in tokens:
        login(token)

    logged = "\n".join(f"{each.getMessage()} {each.__dict__}" for each in caplog.records)
    assert not [part for token in tokens for part in token.split(".")[1:] if part and part in logged]


def test_without_trusted_issuers_a_token_is_a_wrong_password(issuer: Issuer, settings: Settings) -> None:
    trust(settings)

    assert login(issuer.token(), name="alice").status_code == 401
    assert FailedLogin.objects.filter(account="alice").exists()


def test_a_mapping_to_an_account_that_is_missing_is_refused(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    Account.objects.filter(name="ci-app").delete()

    assert login(issuer.token()).status_code == 401
    assert "the account ci-app of the mapping does not exist" in str([each.__dict__ for each in caplog.records])


def test_failures_are_throttled_and_a_valid_token_is_not(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "OF_ADDRESS", replace(throttle.OF_ADDRESS, tries=2))

    answers = [login(issuer.token(aud="x"), name="alice").status_code for _ in range(4)]

    assert answers == [401, 401, 429, 429]
    assert login(issuer.token()).status_code == 200
    # Nobody's password waits for it.
    assert set(FailedLogin.objects.values_list("account", flat=True)) == {throttle.WORKLOADS}


def test_a_rotated_key_is_fetched_at_once(issuer: Issuer, clock: Callable[[float], None]) -> None:
    assert login(issuer.token()).status_code == 200
    clock(keys.RETRY_SECONDS)

    issuer.rotate("second", is_ec=True)

    assert login(issuer.token()).status_code == 200


def test_unknown_kids_cause_one_request(issuer: Issuer, clock: Callable[[float], None]) -> None:
    login(issuer.token())
    clock(keys.RETRY_SECONDS)
    asked = issuer.asked

    for number in range(5):
        login(issuer.token(kid=f"unknown-{number}"))

    # The document, and the keys.
    assert issuer.asked == asked + 2


def test_cached_keys_count_for_an_hour_after_their_time(issuer: Issuer, clock: Callable[[float], None]) -> None:
    assert login(issuer.token()).status_code == 200
    issuer.is_down = True

    clock(keys.FRESH_SECONDS + keys.STALE_SECONDS - 30)
    within = login(issuer.token()).status_code
    clock(60)
    after = login(issuer.token())
    issuer.is_down = False
    clock(keys.RETRY_SECONDS)

    assert (within, after.status_code) == (200, 503)
    assert login(issuer.token()).status_code == 200


def test_another_process_has_the_keys_while_the_issuer_is_down(issuer: Issuer, clock: Callable[[float], None]) -> None:
    login(issuer.token())
    issuer.is_down = True
    asked = issuer.asked

    keys.keys_of.cache_clear()
    fresh = login(issuer.token()).status_code, issuer.asked - asked
    keys.keys_of.cache_clear()
    clock(keys.FRESH_SECONDS + keys.STALE_SECONDS - 30)
    stale = login(issuer.token()).status_code
    keys.keys_of.cache_clear()
    clock(60)

    assert (fresh, stale, login(issuer.token()).status_code) == ((200, 0), 200, 503)


@pytest.mark.parametrize("how", ["another host", "a redirect", "http", "another issuer"])
def test_no_keys_are_taken_from_elsewhere(issuer: Issuer, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issuer.token()
    if how == "a redirect":
        issuer.location = f"{issuer.url}/keys"
    elif how == "another issuer":
        monkeypatch.setattr(issuer, "url", f"{issuer.url}/other")
    else:
        issuer.jwks_uri = "https://169.254.169.254/keys" if how == "another host" else "http://127.0.0.1:1/keys"

    assert login(token).status_code == 503


def test_a_certificate_of_an_unknown_authority_is_refused(issuer: Issuer, settings: Settings) -> None:
    trust(settings, replace(settings.REGISTRY.auth.trusted_issuers[0], ca_file=None))

    assert login(issuer.token()).status_code == 503


def test_keys_are_read_from_a_file(issuer: Issuer, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(issuer.jwks()))
    issuer.is_down = True
    trust(settings, TrustedIssuer(issuer.url, AUDIENCE, (MAIN,), jwks_file=tmp_path / "keys.json"))

    assert login(issuer.token(aud=[AUDIENCE, "another"])).status_code == 200


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "kid": "k", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "k", "n": "AQAB", "e": "AQAB"},
        {"kty": "EC", "kid": "k", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": ["RSA"], "kid": "k"},
        {"kty": "RSA", "kid": 7},
        "a string",
    ],
)
def test_a_key_of_another_kind_is_left_out(entry: object) -> None:
    assert keys.parsed({"keys": [entry]}, ("RS256", "ES256", "HS256")) == {}
