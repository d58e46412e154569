"""Servers of S3, started when a test needs them."""

from collections.abc import Iterator

import pytest

from tests.s3.servers import Moto, S3Server, SeaweedFS, running


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run SeaweedFS for all tests that leave it as it is."""
    with running(SeaweedFS(tmp_path_factory.mktemp("seaweedfs"))) as server:
        yield server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run moto, likewise."""
    with running(Moto(tmp_path_factory.mktemp("moto"))) as server:
        yield server
