"""Errors under `/v2/`: JSON with a code, whatever the path and method."""

import pytest

from tests.caller import Caller, error_codes

DIGEST = "sha256:" + "0" * 64
SESSION = "00000000-0000-4000-8000-000000000000"

UNKNOWN_PATHS = [
    "/v2/nothing",
    "/v2/alice/app",
    "/v2/alice/app/manifests/",
    "/v2/alice/app/manifests/a/b",
    "/v2/alice/app/tags/",
    "/v2/alice/app/tags/list/more",
    "/v2/alice/app/tags/list%0A",
    "/v2//manifests/v1",
    "/v2/alice/app/blobs/",
    "/v2/%FF",
]

METHODS = [
    ("/v2/", "POST", "GET, HEAD"),
    ("/v2/_catalog", "DELETE", "GET, HEAD"),
    ("/v2/alice/app/tags/list", "PUT", "GET, HEAD"),
    ("/v2/alice/app/manifests/v1", "PATCH", "GET, HEAD, PUT, DELETE"),
    ("/v2/alice/app/manifests/v1", "OPTIONS", "GET, HEAD, PUT, DELETE"),
    (f"/v2/alice/app/blobs/{DIGEST}", "PUT", "GET, HEAD, DELETE"),
    ("/v2/alice/app/blobs/uploads/", "GET", "POST"),
    (f"/v2/alice/app/blobs/uploads/{SESSION}", "POST", "GET, HEAD, PUT, PATCH, DELETE"),
    ("/v2/", "BREW", "GET, HEAD"),
]


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_unknown_path_is_404_in_json(alice: Caller, method: str, path: str) -> None:
    response = alice.send(method, path, token="")

    assert response.status_code == 404
    assert response["Content-Type"] == "application/json"
    assert error_codes(response) == ["NAME_UNKNOWN"]


def test_what_cannot_be_a_session_is_an_unknown_upload(alice: Caller) -> None:
    response = alice.patch("/v2/alice/app/blobs/uploads/no-session")

    assert response.status_code == 404
    assert error_codes(response) == ["BLOB_UPLOAD_UNKNOWN"]


@pytest.mark.parametrize(("path", "method", "allowed"), METHODS)
def test_a_method_that_a_path_does_not_take_is_405_with_those_it_takes(
    alice: Caller, path: str, method: str, allowed: str
) -> None:
    response = alice.send(method, path)

    assert response.status_code == 405
    assert error_codes(response) == ["UNSUPPORTED"]
    assert set(response["Allow"].split(", ")) == set(allowed.split(", "))


PATHS = [
    "/v2",
    "/v2/",
    "/v2/token",
    "/v2/token/jwks",
    "/v2/_catalog",
    "/v2/alice/app/tags/list",
    "/v2/alice/app/manifests/v1",
    f"/v2/alice/app/manifests/{DIGEST}",
    f"/v2/alice/app/blobs/{DIGEST}",
    f"/v2/alice/app/referrers/{DIGEST}",
    "/v2/alice/app/blobs/uploads/",
    "/v2/alice/app/blobs/uploads/00000000-0000-0000-0000-000000000000",
    "/health",
    "/api/v1/whoami",
    "/api/v1/repositories",
]


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", PATHS)
def test_no_405_leaves_out_what_is_allowed(alice: Caller, path: str, method: str) -> None:
    is_of_api = path.startswith("/api")

    response = alice.send(
        method, path, token="" if is_of_api else None, headers={"Authorization": alice.basic} if is_of_api else None
    )

    assert response.status_code != 405 or response["Allow"]


ANSWERS = [
    ("GET", "/v2/", 200),
    ("GET", "/v2/nothing", 404),
    ("POST", "/v2/", 405),
    ("GET", "/v2/UPPER/tags/list", 400),
    ("GET", "/v2/alice/none/tags/list", 404),
    ("GET", f"/v2/alice/app/blobs/{DIGEST}", 404),
    ("HEAD", f"/v2/alice/app/blobs/{DIGEST}", 404),
    ("POST", "/v2/alice/app/blobs/uploads/", 202),
    ("GET", "/v2/token?service=another", 400),
    ("GET", "/v2/bob/app/tags/list", 401),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_answer_names_the_api_and_forbids_browsers_to_guess(
    alice: Caller, method: str, path: str, status: int
) -> None:
    response = alice.send(method, path)

    assert response.status_code == status
    assert response["Docker-Distribution-API-Version"] == "registry/2.0"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert not response.cookies


@pytest.mark.parametrize(
    "path", ["/v2/nothing", f"/v2/alice/app/blobs/{DIGEST}", "/v2/alice/app/manifests/v9", "/v2/X"]
)
def test_an_error_has_no_body_for_head_but_its_length(alice: Caller, path: str) -> None:
    headers = alice.head(path)
    whole = alice.get(path)

    assert headers.status_code == whole.status_code == 404
    assert headers.content == b""
    assert headers["Content-Length"] == str(len(whole.content))


def test_an_error_says_code_message_and_detail(alice: Caller) -> None:
    response = alice.get(f"/v2/alice/app/blobs/{DIGEST}")

    assert response.json() == {
        "errors": [{"code": "BLOB_UNKNOWN", "message": "blob unknown to registry", "detail": {"digest": DIGEST}}]
    }


def test_a_thousand_parameters_are_a_bad_request(alice: Caller) -> None:
    alice.post("/v2/alice/app/blobs/uploads/")

    response = alice.get("/v2/alice/app/tags/list?" + "a&" * 1001)

    assert response.status_code == 400
    assert error_codes(response) == ["UNKNOWN"]
    assert response.json()["errors"][0]["message"] == "the request has more than 1000 parameters"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/charlie/app/manifests/v1"),
        ("HEAD", f"/v2/charlie/app/blobs/{DIGEST}"),
        ("POST", "/v2/charlie/app/blobs/uploads/"),
        ("GET", "/v2/charlie/app/tags/list"),
        ("DELETE", "/v2/charlie/app/manifests/v1"),
        ("PATCH", f"/v2/charlie/app/blobs/uploads/{SESSION}"),
    ],
)
def test_what_may_not_be_seen_is_401_before_anything_is_looked_up(alice: Caller, method: str, path: str) -> None:
    response = alice.send(method, path)

    assert response.status_code == 401
    assert 'error="insufficient_scope"' in response["WWW-Authenticate"]
