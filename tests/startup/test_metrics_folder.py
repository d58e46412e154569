"""The folder in which a server counts: its own, and never that of another that runs."""

import os
import tempfile
from pathlib import Path

import pytest

from core.metrics import cells
from startup import metrics_folder
from startup.metrics_folder import MetricsFolder


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in the place of the one in memory, and forget afterwards where was counted."""
    monkeypatch.setenv(cells.FOLDER, "")
    monkeypatch.setattr(cells, "_file", None)
    monkeypatch.setattr(metrics_folder, "_IN_MEMORY", tmp_path)
    return tmp_path


def test_each_server_has_a_private_folder_of_its_own(base: Path) -> None:
    one, other = metrics_folder.make(), metrics_folder.make()

    folders = sorted(base.iterdir())
    assert len(folders) == 2
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)
    assert os.environ[cells.FOLDER] in map(str, folders)
    one.remove()
    other.remove()
    assert list(base.iterdir()) == []


def test_what_nobody_holds_is_removed_and_what_is_being_made_stays(base: Path) -> None:
    left, begun = base / "registry-metrics-left", base / "registry-metrics-begun"
    for folder in (left, begun):
        folder.mkdir()
    (left / "lock").touch()
    (begun / "new").touch()

    made = metrics_folder.make()

    assert not left.exists()
    assert begun.exists()
    made.remove()


def test_the_folder_of_another_user_is_left_alone(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = base / "registry-metrics-foreign"
    foreign.mkdir()
    (foreign / "lock").touch()
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)

    metrics_folder.make().remove()

    assert foreign.exists()


def test_a_fork_does_not_remove_the_folder(base: Path) -> None:
    made: MetricsFolder = metrics_folder.make()
    pid = os.fork()
    if pid == 0:
        made.remove()
        os._exit(0)
    os.waitpid(pid, 0)

    assert len(list(base.iterdir())) == 1
    made.remove()


def test_a_folder_that_cannot_be_made_ends_the_start_with_one_line(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_options: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)

    with pytest.raises(SystemExit, match=r"server\.metrics_token: .*No space left"):
        metrics_folder.make()
