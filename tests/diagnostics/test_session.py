"""What the checks share: a token that lasts through a long push, and the comparison of addresses."""

import json
import ssl

import pytest

from diagnostics.connection import Answer, Client, place_of
from diagnostics.session import Session


def test_a_token_is_renewed_after_half_of_its_lifetime(monkeypatch: pytest.MonkeyPatch) -> None:
    now, given = [1000.0], iter("abc")
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    client = Client("http://localhost", ssl.create_default_context(), 1)
    session = Session(client, ssl.create_default_context(), "alice", "secret", "alice/check", 0, 0)
    monkeypatch.setattr(client, "send", lambda *_: Answer(200, {}, token_answer(next(given)), 0, 0))

    used = []
    for seconds in (0, 29, 2, 29, 2):
        now[0] += seconds
        used.append(session.bearer["Authorization"])

    assert used == ["Bearer a", "Bearer a", "Bearer b", "Bearer b", "Bearer c"]


def token_answer(token: str) -> bytes:
    """Return what the token endpoint answers."""
    return json.dumps({"token": token, "expires_in": 60}).encode()


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("https://registry.example.com", "https://Registry.example.com:443/v2/token", True),
        ("http://registry.example.com:80", "http://registry.example.com", True),
        ("https://registry.example.com", "https://registry.example.com:80", False),
        ("https://[2001:db8::1]", "https://[2001:db8::1]:443", True),
        ("https://registry.example.com", "https://registry.example.com:5000:5000", False),
    ],
)
def test_a_place_is_host_and_port(one: str, other: str, *, is_same: bool) -> None:
    assert (place_of(one) == place_of(other)) is is_same
