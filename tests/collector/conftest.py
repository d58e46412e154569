"""A storage for each test: what lies there is what the test put there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from core.db import ballast
from tests.object_folders import ObjectFolders
from tests.storages import blobs


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.STORAGES = settings.STORAGES | {"blobs": blobs(settings.STORAGES["blobs"], tmp_path)}


@pytest.fixture(autouse=True, scope="session")
def _ballast(django_db_setup: None) -> None:
    """Have the ballast beside the tests' database, which the jobs otherwise make: until then something is due."""
    ballast.make()


@pytest.fixture
def prepared(db: None, object_folders: ObjectFolders) -> None:
    """Have an empty registry, with nobody in it."""
    object_folders.prepare()


@pytest.fixture
def configured(settings: Settings) -> Callable[..., None]:
    """Change the section `garbage_collector` of the configuration: `configured(remove_untagged=True)`."""

    def change(**values: object) -> None:
        section = replace(settings.REGISTRY.garbage_collector, **values)
        settings.REGISTRY = replace(settings.REGISTRY, garbage_collector=section)

    return change
