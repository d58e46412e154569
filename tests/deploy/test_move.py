"""`deploy/move.sh` refuses what can't be, before anything is written."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from tests.clients.server import ROOT
from tests.databases import migrated_database
from tests.documents import block

SCRIPT = ROOT / "deploy/move.sh"
NOBODY = 65534


def run(folder: Path, *words: object, script: Path = SCRIPT, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a folder; nobody runs it in place of root."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", str(script), *map(str, words)],
        cwd=folder,
        env={"PATH": path, "CONFIG_PATH": str(folder / "config.yaml")} | more,
        capture_output=True,
        text=True,
        check=False,
        user=NOBODY if script != SCRIPT and os.geteuid() == 0 else None,
    )


def refused(folder: Path, *words: object, script: Path = SCRIPT, **more: str) -> str:
    """Run the script, and return what it says; it has written nothing."""
    done = run(folder, *words, script=script, **more)
    assert done.returncode == 1, done.stdout + done.stderr
    assert not (folder / "config.yaml").exists()
    return done.stderr


@pytest.fixture
def project() -> Iterator[Path]:
    """Make a folder with the script alone, which everybody may read."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "deploy").mkdir()
        shutil.copy(SCRIPT, folder / "deploy")
        yield folder


def storage(folder: Path) -> Path:
    (folder / "old/docker/registry/v2/repositories").mkdir(parents=True)
    (folder / "old/docker/registry/v2/blobs").mkdir()
    return folder / "old"


@pytest.mark.parametrize("words", [(), ("one",), ("--copy", "one"), ("1", "2", "3", "4")])
def test_wrong_arguments_are_answered_by_the_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert "usage: deploy/move.sh [--copy] STORAGE AUTH_CONFIG [HTPASSWD]" in refused(tmp_path, *words)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path}: no docker/registry/v2/repositories" in refused(tmp_path, tmp_path, "auth_config.yml")


@pytest.mark.parametrize("missing", ["auth_config.yml", "htpasswd"])
def test_a_missing_file_is_refused(tmp_path: Path, missing: str) -> None:
    for name in {"auth_config.yml", "htpasswd"} - {missing}:
        (tmp_path / name).touch()

    said = refused(tmp_path, storage(tmp_path), "auth_config.yml", "htpasswd")

    assert f"{tmp_path}/{missing}: no file that" in said


@pytest.mark.parametrize("closed", [".", "repositories", "blobs"])
def test_a_folder_that_is_not_readable_is_refused(project: Path, closed: str) -> None:
    (project / ".venv/bin").mkdir(parents=True)
    shutil.copy("/bin/true", project / ".venv/bin/python")
    (project / "auth_config.yml").touch()
    folder = storage(project) / "docker/registry/v2" / closed
    folder.chmod(0o111 if closed == "." else 0)
    try:
        said = refused(project, "old", "auth_config.yml", script=project / "deploy/move.sh")
    finally:
        folder.chmod(0o700)

    assert "may not read it; run this as root, or as its owner" in said


def test_missing_packages_are_refused(project: Path) -> None:
    (project / "bin").mkdir()
    for name in ("date", "dirname"):
        (project / "bin" / name).symlink_to(str(shutil.which(name)))

    said = refused(project, "old", "auth", script=project / "deploy/move.sh", PATH=str(project / "bin"))

    assert f"{project} has no .venv: run `make .venv/run` there first" in said


def test_a_file_of_docker_auth_that_is_refused_stops_the_move(tmp_path: Path) -> None:
    (tmp_path / "auth_config.yml").write_text("acl: [")

    done = run(tmp_path, storage(tmp_path), "auth_config.yml", REGISTRY_DATABASE_URL=migrated_database(tmp_path))

    assert done.returncode == 1
    assert "auth_config.yml: " in done.stderr
    assert "manage.py importrules failed, see above" in done.stderr
    assert "images" not in done.stdout


def test_the_containers_of_the_document_have_what_the_command_names() -> None:
    before = yaml.safe_load(block("docs/moving.md", "compose: before"))
    after = yaml.safe_load(block("docs/moving.md", "compose: after"))
    command = next(line for line in block("docs/moving.md", "runs: compose").splitlines() if "move.sh" in line)

    (volume,) = before["volumes"]
    assert after["volumes"][volume]["name"] == f"acme_{volume}"
    mounts = [mount.split(":") for mount in after["services"]["registry"]["volumes"]]
    assert command.split("--copy ")[1].split() == [target for _, target, _ in mounts]
    assert {mode for *_, mode in mounts} == {"ro"}
    assert "!deploy/move.sh" in (ROOT / ".dockerignore").read_text().splitlines()
