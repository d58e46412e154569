"""A storage for each test: what lies there is what the test put there."""

from pathlib import Path

import pytest
from django.core.files.storage import storages
from pytest_django.fixtures import Settings


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    blobs = settings.STORAGES["blobs"] | {"OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = settings.STORAGES | {"blobs": blobs}


@pytest.fixture
def prepared(db: None) -> None:
    """Have an empty registry, with nobody in it."""
    storages["blobs"].prepare()  # type: ignore[attr-defined]
