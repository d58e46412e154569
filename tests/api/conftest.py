"""An administrator."""

import pytest

from tests.api.asking import promote
from tests.caller import Caller


@pytest.fixture
def root(charlie: Caller) -> Caller:
    """Speak as a superuser, whom no rule allows anything."""
    return promote(charlie)
