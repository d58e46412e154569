"""A storage for each test: what lies there is what the test put there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from distribution.storage.blob_store import blob_store
from tests.storages import blobs


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.STORAGES = settings.STORAGES | {"blobs": blobs(settings.STORAGES["blobs"], tmp_path)}


@pytest.fixture
def prepared(db: None) -> None:
    """Have an empty registry, with nobody in it."""
    blob_store().prepare()


@pytest.fixture
def configured(settings: Settings) -> Callable[..., None]:
    """Change the section `garbage_collector` of the configuration: `configured(remove_untagged=True)`."""

    def change(**values: object) -> None:
        section = replace(settings.REGISTRY.garbage_collector, **values)
        settings.REGISTRY = replace(settings.REGISTRY, garbage_collector=section)

    return change
