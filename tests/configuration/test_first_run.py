"""The configuration that is made when there is none."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import pytest

from configuration import ConfigurationError, load
from configuration.first_run import write_first
from configuration.values import RuleEntry


def test_the_first_administrator_logs_in_with_the_password_that_is_told(tmp_path: Path) -> None:
    first = write_first(tmp_path / "config.yaml")

    assert first is not None
    (user,) = load(first.path).users or ()
    assert (user.name, user.is_superuser) == (first.name, True)
    assert bcrypt.checkpw(first.password.encode(), user.password.encode())


def test_the_first_administrator_may_do_everything(tmp_path: Path) -> None:
    write_first(tmp_path / "config.yaml")
    configuration = load(tmp_path / "config.yaml")

    (rule,) = configuration.acl or ()
    assert rule == RuleEntry("account", "admin", "*", ("*",), line=rule.line)
    assert configuration.warnings == ()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    write_first(tmp_path / "config.yaml")

    assert (tmp_path / "config.yaml").stat().st_mode & 0o777 == 0o600


def test_every_password_is_another(tmp_path: Path) -> None:
    passwords = {first.password for name in "abc" if (first := write_first(tmp_path / name)) is not None}

    assert {len(password) for password in passwords} == {20}
    assert len(passwords) == 3


def test_the_password_is_not_in_the_file_nor_in_the_representation(tmp_path: Path) -> None:
    first = write_first(tmp_path / "config.yaml")

    assert first is not None
    assert first.password not in first.path.read_text() + repr(first)


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("{}")

    assert write_first(path) is None
    assert path.read_text() == "{}"


def test_of_many_that_start_at_once_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"

    with ThreadPoolExecutor(8) as pool:
        firsts = [first for first in pool.map(write_first, [path] * 8) if first is not None]

    (user,) = load(path).users or ()
    (first,) = firsts
    assert bcrypt.checkpw(first.password.encode(), user.password.encode())
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        write_first(tmp_path / "nowhere" / "config.yaml")

    assert str(error.value).startswith("nowhere/config.yaml: found that it can't be written (no such file or")
