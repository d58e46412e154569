"""`GET /v2/`."""

import pytest

from tests.caller import Caller, error_codes


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
def test_a_valid_token_is_answered_with_an_empty_object(alice: Caller, path: str) -> None:
    response = alice.get(path)

    assert response.status_code == 200
    assert response.json() == {}
    assert response["Content-Type"] == "application/json"
    assert response["Docker-Distribution-API-Version"] == "registry/2.0"


def test_an_anonymous_token_is_as_good(anonymous: Caller) -> None:
    response = anonymous.get("/v2/")

    assert response.status_code == 200


def test_no_token_is_401_with_a_challenge_that_names_no_scope_and_no_error(anonymous: Caller) -> None:
    response = anonymous.get("/v2/", token="")

    assert response.status_code == 401
    assert error_codes(response) == ["UNAUTHORIZED"]
    assert response["WWW-Authenticate"] == 'Bearer realm="http://testserver/v2/token",service="Docker Registry"'


def test_a_token_that_nobody_signed_is_401_with_the_error(anonymous: Caller) -> None:
    response = anonymous.get("/v2/", token="a.b.c")

    assert response.status_code == 401
    assert 'error="invalid_token"' in response["WWW-Authenticate"]


def test_head_has_the_headers_of_get_and_no_body(alice: Caller) -> None:
    response = alice.head("/v2/")

    assert response.status_code == 200
    assert response["Content-Length"] == "2"
    assert response.content == b""


def test_basic_credentials_are_not_taken_here(alice: Caller) -> None:
    response = alice.get("/v2/", token="", headers={"Authorization": alice.basic})

    assert response.status_code == 401
