"""`deploy/move.sh` refuses what can't be, before anything is written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.clients.server import ROOT
from tests.documents import block


def refused(folder: Path, *words: object, script: Path = ROOT / "deploy/move.sh", path: str = "") -> str:
    """Run the script in a folder, and return what it says."""
    found = path or f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", str(script), *map(str, words)],
        cwd=folder,
        env={"PATH": found, "CONFIG_PATH": str(folder / "config.yaml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert not (folder / "config.yaml").exists()
    return done.stderr


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


def test_a_folder_that_is_not_readable_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads every folder")
    (storage(tmp_path) / "docker/registry/v2/blobs").chmod(0)
    (tmp_path / "auth_config.yml").touch()

    assert "may not read it; run this as root" in refused(tmp_path, tmp_path / "old", "auth_config.yml")


def test_missing_packages_are_refused(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy/move.sh", tmp_path / "deploy")
    (tmp_path / "bin").mkdir()
    for name in ("date", "dirname"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))

    said = refused(tmp_path, "old", "auth", script=tmp_path / "deploy/move.sh", path=str(tmp_path / "bin"))

    assert f"{tmp_path} has no .venv: run `make .venv/run` there first" in said


def test_a_file_of_docker_auth_that_is_refused_stops_the_move(tmp_path: Path) -> None:
    (tmp_path / "auth_config.yml").write_text("acl: [")
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "deploy/move.sh"), str(storage(tmp_path)), "auth_config.yml"],
        cwd=tmp_path,
        env=os.environ
        | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "CONFIG_PATH": str(tmp_path / "config.yaml")},
        capture_output=True,
        text=True,
        check=False,
    )

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
