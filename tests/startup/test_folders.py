"""A start demands the data folder only if something is written there."""

from dataclasses import replace
from pathlib import Path

import pytest

from configuration.values import Auth, Configuration, Database, Server, Storage
from core.start_error import StartError
from startup import folders


def elsewhere(folder: Path) -> Configuration:
    """Return a configuration that keeps everything elsewhere, with a data folder that can't be made."""
    (folder / "taken").touch()
    return Configuration(
        server=Server(data_directory=folder / "taken" / "data", secret_key="s" * 32),
        storage=Storage(backend="s3", options={"bucket_name": "registry"}),
        database=Database("postgresql://registry@db.example.com/registry"),
        auth=Auth(keys="database"),
    )


def test_no_data_folder_is_needed_when_nothing_is_written_there(tmp_path: Path) -> None:
    folders.check(elsewhere(tmp_path))


def test_a_folder_of_temporary_files_that_is_missing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("missing", "taken"):
        monkeypatch.setenv("TMPDIR", str(tmp_path / name))

        with pytest.raises(StartError, match=rf"TMPDIR: {tmp_path}/{name} is no folder"):
            folders.check(elsewhere(tmp_path))


@pytest.mark.parametrize(
    "part",
    [
        {"server": {"secret_key": None}},
        {"database": {"url": None}},
        {"auth": {"keys": "folder"}},
    ],
    ids=["secret", "database", "keys"],
)
def test_the_data_folder_is_needed_for_each_part_in_it(tmp_path: Path, part: dict[str, dict[str, object]]) -> None:
    configuration = elsewhere(tmp_path)
    for section, values in part.items():
        configuration = replace(configuration, **{section: replace(getattr(configuration, section), **values)})

    with pytest.raises(StartError, match=r"server\.data_directory"):
        folders.check(configuration)


def test_an_hmac_secret_or_a_key_file_elsewhere_needs_none(tmp_path: Path) -> None:
    configuration = elsewhere(tmp_path)

    folders.check(replace(configuration, auth=Auth(signing_method="hmac", hmac_secret="h" * 32)))
    folders.check(replace(configuration, auth=Auth(private_key=tmp_path / "registry.key")))
