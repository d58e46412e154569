"""Secrets in files: made once, whole, for their owner alone."""

import errno
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.private_files import KeyFileError, create, random_text, read, read_or_create

MAKE = """
import sys, time
from pathlib import Path
from core.private_files import random_text, read_or_create
path, start = Path(sys.argv[1]), Path(sys.argv[2])
while not start.exists():
    time.sleep(0.001)
print(read_or_create(path, random_text).decode())
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "secret.key"

    read_or_create(path, random_text)

    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert list(path.parent.iterdir()) == [path]


def test_a_key_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "secret.key"
    script = "import os; os.umask(0)\nfrom pathlib import Path\nfrom core.private_files import *\n"

    subprocess.run([sys.executable, "-c", f"{script}read_or_create(Path({str(path)!r}), random_text)"], check=True)

    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_a_key_that_exists_is_read_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    first = read_or_create(path, random_text)

    assert read_or_create(path, lambda: b"another") == first


def test_a_random_key_has_384_bits() -> None:
    assert len({random_text() for _ in range(100)}) == 100
    assert len(random_text()) == 64


# What vfat and some network file systems answer.
WITHOUT_LINKS = """
import errno, os
def refuse(*_):
    raise OSError(errno.EPERM, "Operation not permitted")
os.link = refuse
"""


@pytest.mark.parametrize("file_system", ["", WITHOUT_LINKS], ids=["with links", "without links"])
def test_eight_processes_that_start_at_once_agree(tmp_path: Path, file_system: str) -> None:
    path, start = tmp_path / "keys" / "secret.key", tmp_path / "start"
    command = [sys.executable, "-c", file_system + MAKE, str(path), str(start)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]

    start.touch()
    keys = {process.communicate(timeout=60)[0] for process in processes}

    assert [process.returncode for process in processes] == [0] * 8
    assert keys == {path.read_text() + "\n"}
    assert list(path.parent.iterdir()) == [path]


def refuse_to_link(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the file system answer `number` to every hard link."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK])
def test_a_key_is_made_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse_to_link(number, monkeypatch)
    path = tmp_path / "keys" / "secret.key"

    made = read_or_create(path, random_text)

    assert (made, mode(path)) == (path.read_bytes(), 0o600)
    assert list(path.parent.iterdir()) == [path]


def test_a_key_is_never_replaced_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_link(errno.EPERM, monkeypatch)
    path = tmp_path / "secret.key"

    assert create(path, b"first")
    assert not create(path, b"second")
    assert path.read_bytes() == b"first"


def test_a_full_disk_is_no_lack_of_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_link(errno.ENOSPC, monkeypatch)

    with pytest.raises(KeyFileError, match="No space left"):
        read_or_create(tmp_path / "secret.key", random_text)
    assert list(tmp_path.iterdir()) == []


def test_threads_that_start_at_once_agree_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_link(errno.EPERM, monkeypatch)

    test_threads_that_start_at_once_agree(tmp_path)


def test_threads_that_start_at_once_agree(tmp_path: Path) -> None:
    path, barrier = tmp_path / "keys" / "secret.key", threading.Barrier(16)

    def make(_: int) -> bytes:
        barrier.wait()
        return read_or_create(path, random_text)

    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(make, range(16)))) == 1


@pytest.mark.parametrize("wide", [0o640, 0o604, 0o660, 0o644, 0o666, 0o620, 0o602, 0o777, 0o610])
def test_a_key_that_others_may_touch_is_refused_with_the_remedy(wide: int, tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text("secret")
    path.chmod(wide)

    with pytest.raises(KeyFileError, match=f"other users may read or write this key; run: chmod 600 {path}"):
        read_or_create(path, random_text)


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every folder be one that can't be written, as that of a mounted secret: root is refused nothing else."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))


@pytest.mark.parametrize("mounted", [0o444, 0o644, 0o440, 0o404])
def test_a_mounted_key_that_others_may_only_read_is_taken_with_one_warning(
    read_only: None, mounted: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "secret.key"
    path.write_text("secret")
    path.chmod(mounted)

    assert [read(path), read(path)] == [b"secret"] * 2
    assert len(caplog.messages) == 1
    assert str(path) in caplog.text
    assert "other users of this system may read this key" in caplog.text


@pytest.mark.parametrize("wide", [0o666, 0o446, 0o464, 0o555])
def test_a_mounted_key_that_others_may_write_is_refused(read_only: None, wide: int, tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text("secret")
    path.chmod(wide)

    with pytest.raises(KeyFileError, match="chmod 600"):
        read(path)


@pytest.mark.parametrize("narrow", [0o600, 0o400])
def test_a_key_for_its_owner_is_read(narrow: int, tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text("secret")
    path.chmod(narrow)

    assert read(path) == b"secret"


def test_a_link_is_judged_by_what_it_leads_to(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "secret.key"
    target.write_text("secret")
    link.symlink_to(target)

    target.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read(link)
    target.chmod(0o600)
    assert read(link) == b"secret"


def test_a_folder_in_place_of_a_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="a folder, where a key belongs"):
        read_or_create(tmp_path, random_text)


def test_an_empty_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.touch(0o600)

    with pytest.raises(KeyFileError, match="the file is empty"):
        read_or_create(path, random_text)


def test_a_link_to_nowhere_is_a_one_line_message(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.symlink_to(tmp_path / "nowhere")

    with pytest.raises(KeyFileError, match="No such file"):
        read_or_create(path, random_text)


def test_a_file_where_a_folder_belongs_is_a_one_line_message(tmp_path: Path) -> None:
    (tmp_path / "keys").touch()

    with pytest.raises(KeyFileError, match=r"keys/secret\.key: .*; make it readable and its folder writable"):
        read_or_create(tmp_path / "keys" / "secret.key", random_text)


def test_a_key_that_can_not_be_made_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise RuntimeError("no entropy")

    with pytest.raises(RuntimeError):
        read_or_create(tmp_path / "secret.key", fail)
    assert list(tmp_path.iterdir()) == []
