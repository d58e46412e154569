"""Policies of a test."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pytest_django import Settings

from policies.models import ImmutableTags, Quota, ReadOnly


@pytest.fixture
def immutable(cast: None) -> Callable[..., ImmutableTags]:
    """Make a policy: `immutable("alice/*", tags="v*")`."""

    def make(repositories: str = "alice/*", **values: Any) -> ImmutableTags:
        policy = ImmutableTags(repositories=repositories, **values)
        policy.full_clean()
        policy.save()
        return policy

    return make


@pytest.fixture
def quota(cast: None) -> Callable[..., Quota]:
    """Make a quota: `quota("alice/*", max_size=1024)`."""

    def make(repositories: str = "alice/*", **values: object) -> Quota:
        policy = Quota(repositories=repositories, **values)
        policy.full_clean()
        policy.save()
        return policy

    return make


@pytest.fixture
def read_only(cast: None) -> ReadOnly:
    """Make alice/* read-only."""
    return ReadOnly.objects.create(repositories="alice/*", message="until noon")


@pytest.fixture
def no_deletion(settings: Settings) -> None:
    """Switch deletion off."""
    registry = settings.REGISTRY
    settings.REGISTRY = replace(registry, storage=replace(registry.storage, deletion=False))
