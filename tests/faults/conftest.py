"""A registry to break."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.commands import Commands, commands_with
from tests.faults.pusher import SHARED, Artifact, Pusher
from tests.faults.registry import Registry
from tests.postgresql import Cluster, cluster

KEPT = Artifact(b"a layer that others mount", (b"a layer ", b"in two pieces"))


@contextmanager
def serving(registry: Registry) -> Iterator[Pusher]:
    """Run the registry with one image, KEPT; the pusher is who pushed it."""
    try:
        registry.start()
        alice = Pusher(registry, SHARED)
        alice.upload_whole(KEPT.shared)
        alice.push(KEPT, "kept")
        yield alice
    finally:
        registry.stop()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Run a registry for all tests that break it, with one image that has to survive them."""
    registry = Registry(tmp_path_factory.mktemp("faults"))
    with serving(registry):
        yield registry


@pytest.fixture(scope="session")
def commands(registry: Registry) -> Iterator[Commands]:
    """Run commands beside the registry."""
    with commands_with(registry.environment()) as commands:
        yield commands


@pytest.fixture
def postgresql() -> Iterator[Cluster]:
    """Run a PostgreSQL that nobody else misses."""
    if not os.environ.get("REGISTRY_DATABASE_URL", "").startswith("postgres"):
        pytest.skip("SQLite has no server")
    with cluster() as postgresql:
        yield postgresql
