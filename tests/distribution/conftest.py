"""A disk of each test's own."""

from pathlib import Path

import pytest
from django.core.files.storage import storages
from pytest_django import Settings


@pytest.fixture
def disk(settings: Settings, tmp_path: Path) -> Path:
    """Return the folder in which this test's objects lie, and no others. Ask for it before the cast."""
    blobs = settings.STORAGES["blobs"] | {"OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = settings.STORAGES | {"blobs": blobs}
    storages["blobs"].prepare()  # type: ignore[attr-defined]
    return tmp_path
