"""Malformed requests, which gunicorn refuses, get JSON errors of the protocol."""

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from tests.project.starting import Running, serving
from tests.project.talk import PATIENCE_SECONDS

LONG = "x" * 20_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("malformed")) as running:
        yield running


def answer(server: Running, request: str) -> tuple[http.client.HTTPResponse, bytes]:
    """Send `request` as it is and return the response and its body."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(request.encode("latin-1"))
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response, response.read()


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("nonsense\r\n\r\n", 400),
        ("GET /v2/ HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        ("GET /v2/ HTTP/1.1\r\nHost: x\r\nbad header: 1\r\n\r\n", 400),
        (f"GET /v2/{LONG} HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (f"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {LONG}\r\n\r\n", 431),
        ("PATCH /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: one\r\n\r\n", 400),
        ("PATCH /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("PATCH /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("GET /v2/ HTTP/1.1\r\n\r\n", 400),
        ("GET /v2/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ],
    ids=[
        "no request",
        "version",
        "header",
        "long line",
        "long header",
        "length",
        "length and chunks",
        "coding",
        "no host",
        "host",
    ],
)
def test_a_malformed_request_gets_a_json_error(server: Running, request_text: str, status: int) -> None:
    response, body = answer(server, request_text)

    assert response.status == status
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Docker-Distribution-API-Version"] == "registry/2.0"
    assert [*json.loads(body)["errors"][0]] == ["code", "message", "detail"]


def test_an_unsupported_coding_is_not_implemented(server: Running) -> None:
    _, body = answer(server, "PATCH /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")

    assert json.loads(body)["errors"][0]["message"] == "not implemented"


def test_an_error_in_answer_to_head_has_no_body(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(b"HEAD /v2/ HTTP/1.1\r\nHost: a b\r\n\r\n")

        assert connection.makefile("rb").read().endswith(b"\r\n\r\n")
