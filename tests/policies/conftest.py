"""Policies of a test."""

from collections.abc import Callable
from typing import Any

import pytest

from policies.models import ImmutableTags


@pytest.fixture
def immutable(cast: None) -> Callable[..., ImmutableTags]:
    """Make a policy: `immutable("alice/*", tags="v*")`."""

    def make(repositories: str = "alice/*", **values: Any) -> ImmutableTags:
        policy = ImmutableTags(repositories=repositories, **values)
        policy.full_clean()
        policy.save()
        return policy

    return make
