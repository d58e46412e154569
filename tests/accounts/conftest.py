"""What one process remembers of logins, forgotten before each test; and a count of bcrypt's work."""

from collections.abc import Callable

import bcrypt
import pytest

from accounts import authentication
from accounts.throttling import known_networks, throttle


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    """Start as a process that has just been started."""
    authentication._verified.clear()
    authentication._refused.clear()
    throttle._unstored.clear()
    known_networks._stored.clear()
    known_networks._unstored.clear()


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the hashes that bcrypt has checked a password against since the test began."""
    checked: list[bytes] = []
    check: Callable[[bytes, bytes], bool] = bcrypt.checkpw

    def spy(password: bytes, hashed: bytes) -> bool:
        checked.append(hashed)
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", spy)
    return checked
