"""Configuration files in a folder of each test's own, in an environment that says nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from configuration import Configuration, ConfigurationError, load

VARIABLES = (
    "CONFIG_PATH",
    "REGISTRY_SERVER_SECRET_KEY",
    "REGISTRY_DATABASE_URL",
    "REGISTRY_AUTH_HMAC_SECRET",
)

Reader = Callable[[str], Configuration]
Refuser = Callable[[str], list[str]]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Load a text as config.yaml."""

    def read_text(text: str) -> Configuration:
        path = tmp_path / "config.yaml"
        path.write_bytes(text.encode())
        return load(path)

    return read_text


@pytest.fixture
def problems(read: Reader) -> Refuser:
    """Load a text that is wrong, and return the lines of the message."""

    def refused(text: str) -> list[str]:
        with pytest.raises(ConfigurationError) as error:
            read(text)
        return str(error.value).splitlines()

    return refused
