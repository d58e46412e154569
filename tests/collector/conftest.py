"""A storage for each test: what lies there is what the test put there."""

from collections.abc import Callable
from dataclasses import replace
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


@pytest.fixture
def configured(settings: Settings) -> Callable[..., None]:
    """Change the section `garbage_collector` of the configuration: `configured(remove_untagged=True)`."""

    def change(**values: object) -> None:
        section = replace(settings.REGISTRY.garbage_collector, **values)
        settings.REGISTRY = replace(settings.REGISTRY, garbage_collector=section)

    return change
