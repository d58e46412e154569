"""What one process remembers of logins, forgotten before each test; and a count of bcrypt's work."""

from collections.abc import Callable

import bcrypt
import pytest

from accounts import hashers
from tests.conftest import REAL_DECOY, REAL_ROUNDS
from tests.process_memory import forget_logins


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    """Start as a process that has just been started."""
    forget_logins()


@pytest.fixture
def real_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let passwords cost what they cost in a server."""
    monkeypatch.setattr(hashers.ImportedBCryptHasher, "rounds", REAL_ROUNDS)
    monkeypatch.setattr(hashers, "_DECOY", REAL_DECOY)


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
