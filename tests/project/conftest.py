"""What a server of its own needs."""

import os
from pathlib import Path

import pytest

from tests.databases import empty_database


def database_of(folder: Path) -> dict[str, str]:
    """Return the environment that names an empty PostgreSQL database; nothing for SQLite, the default."""
    if not os.environ.get("REGISTRY_DATABASE_URL", "").startswith("postgres"):
        return {}
    return {"REGISTRY_DATABASE_URL": empty_database(folder)}


@pytest.fixture
def database(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a server in the test's own folder."""
    return database_of(tmp_path)
