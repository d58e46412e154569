"""`GET /api/v1/connection`: how a request arrived. `tests/diagnostics` reads it through a proxy."""

from tests.caller import Caller


def test_it_tells_how_the_request_arrived(alice: Caller) -> None:
    headers = {"Authorization": alice.basic, "Host": "registry.example.com:5000", "X-Forwarded-For": "192.0.2.1"}
    response = alice.client.get("/api/v1/connection", headers=headers, REMOTE_ADDR="198.51.100.7", REMOTE_PORT="4711")

    assert response.json() == {
        "scheme": "http",
        "host": "registry.example.com:5000",
        "address": "198.51.100.7",
        "http_version": "HTTP/1.1",
        "peer_port": 4711,
        "is_forwarded": False,
    }


def test_it_is_refused_without_credentials(alice: Caller) -> None:
    assert alice.client.get("/api/v1/connection").status_code == 401
