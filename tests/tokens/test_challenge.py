"""The header that tells a client where to get a token, and for what."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from pytest_django import Settings

from tests.caller import Caller, Response, error_codes
from tests.images import digest_of
from tests.security import forge

pytestmark = pytest.mark.usefixtures("cast")

START = 'Bearer realm="http://testserver/v2/token",service="Docker Registry"'
BLOB = digest_of(b"a layer")


def challenge(method: str, path: str, **meta: str) -> str:
    response = Client().generic(method, path, **meta)  # type: ignore[arg-type]
    assert response.status_code == 401, response.content
    return str(response["WWW-Authenticate"])


def configured(wrapper: Settings, **server: Any) -> None:
    registry = settings.REGISTRY
    wrapper.REGISTRY = replace(registry, server=replace(registry.server, **server))


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v2/", ""),
        ("HEAD", "/v2/", ""),
        ("GET", "/v2", ""),
        ("GET", "/v2/_catalog", ""),
        ("GET", "/v2/alice/app/manifests/v1", "repository:alice/app:pull"),
        ("HEAD", "/v2/alice/app/manifests/v1", "repository:alice/app:pull"),
        ("PUT", "/v2/alice/app/manifests/v1", "repository:alice/app:pull,push"),
        ("DELETE", "/v2/alice/app/manifests/v1", "repository:alice/app:delete"),
        ("GET", f"/v2/alice/app/blobs/{BLOB}", "repository:alice/app:pull"),
        ("HEAD", f"/v2/alice/app/blobs/{BLOB}", "repository:alice/app:pull,push"),
        ("DELETE", f"/v2/alice/app/blobs/{BLOB}", "repository:alice/app:delete"),
        ("POST", "/v2/alice/app/blobs/uploads/", "repository:alice/app:pull,push"),
        ("GET", "/v2/alice/app/tags/list", "repository:alice/app:pull"),
        ("GET", "/v2/a/b/c/d/manifests/v1", "repository:a/b/c/d:pull"),
    ],
)
def test_without_a_token_the_challenge_names_the_scope_and_no_error(method: str, path: str, scope: str) -> None:
    assert challenge(method, path) == START + (f',scope="{scope}"' if scope else "")


def test_a_right_that_is_missing_is_insufficient_scope(charlie: Caller) -> None:
    response = charlie.get("/v2/alice/app/manifests/v1")

    assert response["WWW-Authenticate"] == (
        f'{START},scope="repository:alice/app:pull",error="insufficient_scope",'
        'error_description="charlie may not pull alice/app"'
    )


def test_nobody_in_particular_is_told_so(anonymous: Caller) -> None:
    response = anonymous.put("/v2/public/app/manifests/v1")

    assert 'error_description="anonymous may not push public/app"' in response["WWW-Authenticate"]


def test_a_bad_token_is_invalid_token_with_the_scope() -> None:
    response = Client().get("/v2/alice/app/tags/list", headers={"Authorization": "Bearer x"})

    assert response["WWW-Authenticate"] == f'{START},scope="repository:alice/app:pull",error="invalid_token"'


def test_the_body_says_what_is_missing(charlie: Caller) -> None:
    error = charlie.get("/v2/alice/app/manifests/v1").json()["errors"][0]

    assert error["code"] == "UNAUTHORIZED"
    assert error["message"] == "authentication required"
    assert error["detail"] == [{"Type": "repository", "Name": "alice/app", "Action": "pull"}]


def test_a_head_has_the_challenge_and_no_body(charlie: Caller) -> None:
    response = charlie.head(f"/v2/alice/app/blobs/{BLOB}")

    assert response.status_code == 401
    assert 'scope="repository:alice/app:pull,push"' in response["WWW-Authenticate"]
    assert response.content == b""


def test_a_token_for_pull_only_still_never_pushes(bob: Caller, push: Callable[..., object]) -> None:
    push("alice/app")
    token = bob.token("repository:alice/app:pull,push")

    assert bob.head(f"/v2/alice/app/blobs/{BLOB}", token=token).status_code == 200
    assert bob.post("/v2/alice/app/blobs/uploads/", token=token).status_code == 401


# ------------------------------------------------------------------ realm


def test_the_realm_is_where_the_request_went() -> None:
    assert 'realm="http://registry.example:5000/v2/token"' in challenge(
        "GET", "/v2/", HTTP_HOST="registry.example:5000"
    )
    assert 'realm="http://[::1]:5000/v2/token"' in challenge("GET", "/v2/", HTTP_HOST="[::1]:5000")


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("qual_registry:5000", "qual_registry:5000"),
        ("mystack_registry", "mystack_registry"),
        ("_", "_"),
        ("My_Registry.example.:5000", "My_Registry.example.:5000"),
        ("registry:", "registry"),
        ("127.0.0.1:", "127.0.0.1"),
        ("[::1]:", "[::1]"),
    ],
)
def test_a_host_with_an_underscore_or_an_empty_port_is_one(host: str, named: str) -> None:
    assert f'realm="http://{named}/v2/token"' in challenge("GET", "/v2/", HTTP_HOST=host)


def test_a_host_that_is_not_ours_is_400(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["my_registry"]

    assert challenge("GET", "/v2/", HTTP_HOST="my_registry:5000")
    assert Client().get("/v2/", HTTP_HOST="other_registry").status_code == 400


def test_a_request_without_a_host_names_the_socket() -> None:
    assert 'realm="http://testserver:5000/v2/token"' in challenge("GET", "/v2/", SERVER_PORT="5000")


@pytest.mark.parametrize(
    "public_url", ["https://hub.example", "https://my_hub.example", "https://hub.example/", "https://hub.example:8443"]
)
def test_the_realm_is_of_the_public_url_when_there_is_one(public_url: str, settings: Settings) -> None:
    configured(settings, public_url=public_url)

    found = challenge("GET", "/v2/", HTTP_HOST="evil.example", HTTP_X_FORWARDED_HOST="evil.example")

    assert found.startswith(f'Bearer realm="{public_url.rstrip("/")}/v2/token",')


def test_what_a_trusted_proxy_forwards_counts(settings: Settings) -> None:
    configured(settings, trusted_proxies=(ip_network("10.0.0.0/8"),))

    found = challenge(
        "GET",
        "/v2/",
        REMOTE_ADDR="10.1.2.3",
        HTTP_HOST="internal:5000",
        HTTP_X_FORWARDED_HOST="hub.example",
        HTTP_X_FORWARDED_PROTO="https",
    )

    assert found.startswith('Bearer realm="https://hub.example/v2/token",')


@pytest.mark.parametrize("proxies", [(), (ip_network("10.0.0.0/8"),)])
def test_what_anybody_else_forwards_does_not(proxies: tuple[object, ...], settings: Settings) -> None:
    configured(settings, trusted_proxies=proxies)

    found = challenge(
        "GET",
        "/v2/",
        REMOTE_ADDR="192.0.2.9",
        HTTP_X_FORWARDED_HOST="evil.example",
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_FORWARDED_FOR="10.0.0.1",
        HTTP_X_FORWARDED_PORT="444",
        HTTP_FORWARDED="host=evil.example;proto=https",
    )

    assert found == START


@pytest.mark.parametrize(
    "host",
    [
        'a"b',
        'x",realm="http://evil',
        "a b",
        "a\\b",
        "a/b",
        "",
        "@",
        "a:b:c",
        "é",
        "[::1",
        ":",
        ":80",
        "a:123456",
        "a_b@c",
        "[a_b]",
        "a%5Fb",
        "a\n",
        "a\tb",
        "x" * 70_000 + '"',
    ],
)
def test_a_host_that_is_none_is_400(host: str) -> None:
    response = Client().get("/v2/", HTTP_HOST=host)

    assert response.status_code == 400
    assert error_codes(response) == ["UNKNOWN"]
    assert response.json()["errors"][0]["message"] == "the Host header is not served here"


def test_a_proxy_that_forwards_nonsense_is_400(settings: Settings) -> None:
    configured(settings, trusted_proxies=(ip_network("10.0.0.0/8"),))

    response = Client().get("/v2/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_HOST='a"b')

    assert response.status_code == 400


def test_no_configured_name_breaks_the_header(settings: Settings) -> None:
    registry = settings.REGISTRY
    settings.REGISTRY = replace(registry, auth=replace(registry.auth, service='a"b\\c\N{SNOWMAN}', realm='x"\n'))

    assert challenge("GET", "/v2/").endswith('service="a?b?c?"')
    refused = Client().get("/v2/token", headers={"Authorization": "Basic eDp5"})
    assert refused["WWW-Authenticate"] == 'Basic realm="x??"'


# ------------------------------------------------------------------ every answer


def answers(caller: Caller) -> list[Response]:
    return [
        Client().get("/v2/"),
        caller.get("/v2/"),
        Client().get("/v2/token"),
        Client().get("/v2/token/jwks"),
        Client().get("/v2/no/such/path"),
        caller.get("/v2/alice/app/tags/list"),
        caller.get("/v2/ALICE/tags/list"),
        Client().post("/v2/token/jwks"),
        Client().options("/v2/"),
        Client().get("/v2/", headers={"Host": "a b"}),
        caller.get("/v2/", token=forge.signed([])),
    ]


def test_every_answer_has_the_headers_of_the_protocol_and_keeps_browsers_out(charlie: Caller) -> None:
    for response in answers(charlie):
        assert response["Docker-Distribution-API-Version"] == "registry/2.0"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert not response.cookies


def test_every_refusal_is_an_error_in_json(charlie: Caller) -> None:
    for response in answers(charlie):
        if response.status_code >= 400:
            assert response["Content-Type"] == "application/json"
            assert error_codes(response)
