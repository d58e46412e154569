"""Which file is the configuration."""

from pathlib import Path

import pytest

from configuration import ConfigurationError, load, locate, locating


@pytest.fixture(autouse=True)
def system_wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the file for the whole system where a test may write."""
    path = tmp_path / "etc" / "config.yaml"
    monkeypatch.setattr(locating, "SYSTEM_WIDE", path)
    return path


def _write(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    return path


def test_the_file_for_the_whole_system_is_where_the_documents_say() -> None:
    assert "/etc/registry/config.yaml" in (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


def test_the_variable_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = _write(tmp_path / "named.yaml")
    _write(tmp_path / "config.yaml")
    monkeypatch.setenv("CONFIG_PATH", "named.yaml")

    assert locate() == named


def test_the_current_folder_comes_second(tmp_path: Path, system_wide: Path) -> None:
    _write(system_wide)
    here = _write(tmp_path / "config.yaml")

    assert locate() == here


def test_the_whole_system_comes_last(system_wide: Path) -> None:
    _write(system_wide)

    assert locate() == system_wide


def test_there_may_be_none() -> None:
    assert locate() is None


@pytest.mark.parametrize(
    ("named", "found"),
    [("nowhere.yaml", '"nowhere.yaml", which does not exist'), ("", "an empty value")],
)
def test_a_variable_that_names_no_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, found: str
) -> None:
    _write(tmp_path / "config.yaml")
    monkeypatch.setenv("CONFIG_PATH", named)

    with pytest.raises(ConfigurationError) as error:
        locate()

    assert str(error.value) == (
        f"environment: CONFIG_PATH: found {found}, expected the path of a configuration file, or CONFIG_PATH not set"
    )


def test_a_folder_is_found_so_that_loading_it_can_say_so(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").mkdir()
    found = locate()

    assert found == tmp_path / "config.yaml"
    with pytest.raises(ConfigurationError, match="found a folder"):
        load(found)


def test_a_link_to_nothing_is_no_reason_to_take_another_file(tmp_path: Path, system_wide: Path) -> None:
    _write(system_wide)
    (tmp_path / "config.yaml").symlink_to("nowhere")

    assert locate() == tmp_path / "config.yaml"


def test_a_path_that_cannot_be_looked_at_is_not_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIG_PATH", "x" * 300)
    found = locate()

    with pytest.raises(ConfigurationError, match="found file name too long, expected a file that uid"):
        load(found)
