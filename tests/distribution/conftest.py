"""A disk of each test's own."""

from pathlib import Path

import pytest
from django.core.files.storage import InMemoryStorage, storages
from pytest_django import Settings

from tests.object_folders import ObjectFolders
from tests.storages import blobs, objects_of


@pytest.fixture
def disk(settings: Settings, tmp_path: Path, object_folders: ObjectFolders) -> Path:
    """Return the folder in which this test's objects lie, and no others. Ask for it before the cast."""
    settings.STORAGES = settings.STORAGES | {"blobs": blobs(settings.STORAGES["blobs"], tmp_path)}
    object_folders.prepare()
    return objects_of(tmp_path)


@pytest.fixture
def cloud(cast: None, settings: Settings) -> InMemoryStorage:
    """Keep blobs in a storage that has addresses of its own, and objects that are written once."""
    backend = {
        "BACKEND": "django.core.files.storage.InMemoryStorage",
        "OPTIONS": {"base_url": "https://storage.example/"},
    }
    settings.STORAGES = settings.STORAGES | {"blobs": backend}
    storage = storages["blobs"]
    assert isinstance(storage, InMemoryStorage)
    return storage
