"""What counts as a change of a file that is watched."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from startup.watch import MAX_BYTES, Watch


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("old")
    return path


def rewrite(path: Path) -> None:
    path.write_text("new")


def rename(path: Path) -> None:
    (path.parent / "new").write_text("new")
    (path.parent / "new").rename(path)


def write_at_the_same_time_with_the_same_size(path: Path) -> None:
    before = path.stat()
    path.write_text("new")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [rewrite, rename, write_at_the_same_time_with_the_same_size])
def test_new_content_is_a_change_once(watched: Path, change: Callable[[Path], None]) -> None:
    watch = Watch(watched)
    change(watched)

    assert [watch.has_changed() for _ in range(4)] == [False, True, False, False]


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes replaces a ConfigMap: the file is a link through a folder that is itself a link."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(name)
    (tmp_path / "..data").symlink_to("old")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")
    watch = Watch(tmp_path / "config.yaml")

    (tmp_path / "..data_tmp").symlink_to("new")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    assert [watch.has_changed() for _ in range(3)] == [False, True, False]


def test_a_file_that_is_being_written_is_no_change_yet(watched: Path) -> None:
    watch = Watch(watched)
    seen = []
    for part in ("n", "ne", "new"):
        watched.write_text(part)
        seen.append(watch.has_changed())

    assert seen == [False, False, False]
    assert watch.has_changed()


@pytest.mark.parametrize("back", ["old", "new"])
def test_a_file_that_is_away_for_a_while_counts_when_it_is_back(watched: Path, back: str) -> None:
    watch = Watch(watched)
    watched.unlink()
    away = [watch.has_changed() for _ in range(3)]
    watched.write_text(back)

    assert away == [False, False, False]
    assert [watch.has_changed() for _ in range(2)] == [False, back == "new"]


def test_the_same_content_written_again_is_no_change(watched: Path) -> None:
    watch = Watch(watched)
    rename(watched)
    watch.has_changed()
    watched.write_text("old")

    assert not any(watch.has_changed() for _ in range(3))


def test_what_is_no_file_is_not_waited_for(watched: Path) -> None:
    watch = Watch(watched)
    watched.unlink()
    os.mkfifo(watched)
    writer = os.open(watched, os.O_RDWR)
    try:
        assert not any(watch.has_changed() for _ in range(3))
    finally:
        os.close(writer)


def test_a_file_without_an_end_is_read_to_a_limit(watched: Path) -> None:
    watch = Watch(watched)
    with watched.open("wb") as file:
        file.truncate(1 << 36)
    tracemalloc.start()
    try:
        assert [watch.has_changed() for _ in range(2)] == [False, True]
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_BYTES
    finally:
        tracemalloc.stop()


def test_a_file_that_has_not_changed_is_not_read_again(watched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(watched, (0, 0))
    watch = Watch(watched)
    opened: list[Path] = []
    really_open = os.open

    def noting_open(path: Path, flags: int) -> int:
        opened.append(path)
        return really_open(path, flags)

    monkeypatch.setattr(os, "open", noting_open)

    assert not any(watch.has_changed() for _ in range(3))
    assert opened == []
    watched.write_text("new")
    assert [watch.has_changed() for _ in range(2)] == [False, True]
    assert opened
