"""Policies that require signatures, and empty caches."""

from collections.abc import Callable
from typing import Any

import pytest

from distribution.signatures import attachment, verdict
from policies.models import RequiredSignature
from tests.policies.signatures.signers import KEY_PEM


@pytest.fixture(autouse=True)
def _empty_caches() -> None:
    """Forget verdicts: the tests of one process use primary keys again."""
    for cache in (attachment._known, verdict._proofs, verdict._refusals):
        cache.clear()


@pytest.fixture
def require(cast: None) -> Callable[..., RequiredSignature]:
    """Make a policy: `require("alice/*", mode="warn")`."""

    def make(repositories: str = "alice/*", keys: str = KEY_PEM, **values: Any) -> RequiredSignature:
        policy = RequiredSignature(repositories=repositories, keys=keys, **values)
        policy.full_clean()
        policy.save()
        return policy

    return make
