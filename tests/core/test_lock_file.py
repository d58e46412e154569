"""Files to lock, in a folder whose owner may be hostile to who opens them."""

import os
from pathlib import Path

import pytest

from core.lock_file import open_lock_file

SERVICE = 65534


@pytest.mark.parametrize("access", [os.O_RDWR, os.O_RDONLY])
def test_a_new_file_is_private(tmp_path: Path, access: int) -> None:
    os.close(open_lock_file(tmp_path / "lock", access))

    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("access", [os.O_RDWR, os.O_RDONLY])
def test_a_file_that_is_there_keeps_its_content(tmp_path: Path, access: int) -> None:
    (tmp_path / "lock").write_text("content")

    os.close(open_lock_file(tmp_path / "lock", access))

    assert (tmp_path / "lock").read_text() == "content"


@pytest.mark.parametrize("access", [os.O_RDWR, os.O_RDONLY])
def test_a_link_is_not_followed(tmp_path: Path, access: int) -> None:
    (tmp_path / "shadow").write_text("content")
    (tmp_path / "lock").symlink_to("shadow")
    (tmp_path / "dangling").symlink_to("nothing")

    for name in ("lock", "dangling"):
        with pytest.raises(OSError, match=name):
            open_lock_file(tmp_path / name, access)

    assert (tmp_path / "shadow").read_text() == "content"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_only_a_file_that_root_has_made_is_given_away(tmp_path: Path) -> None:
    os.chown(tmp_path, SERVICE, SERVICE)
    (tmp_path / "old").touch()

    for name in ("old", "new"):
        os.close(open_lock_file(tmp_path / name))

    assert [(tmp_path / name).stat().st_uid for name in ("old", "new")] == [0, SERVICE]
