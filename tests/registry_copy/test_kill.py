"""A kill at any step of an import or export leaves nothing broken, and the next run continues."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.failpoints import NAMES
from tests.faults.commands import Commands, commands_with
from tests.images import digest_of
from tests.registry_copy.source import SourceTree
from tests.storage_copy.conftest import MovingPlace
from tests.storages import is_s3

# The second object and batch too: then some of it is there already.
TWICE = ("import.after_object", "import.before_commit")
STEPS = [f"{name}=kill@{2 if name in TWICE else 1}" for name in NAMES if name.startswith("import.")]
HOW = ["--copy"] if is_s3() else []


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovingPlace]:
    """Return a registry that does not run, and whose commands need no start."""
    place = MovingPlace(tmp_path_factory.mktemp("place"))
    try:
        with commands_with(place.environment()) as place.commands:
            yield place
    finally:
        place.stop()


@pytest.fixture
def commands(place: MovingPlace) -> Commands:
    assert place.commands is not None
    return place.commands


def filled(root: Path, step: str) -> SourceTree:
    """Return a tree of two repositories whose names nobody else uses."""
    tree, name = SourceTree(root), step.replace("=", "/").replace("@", "-")
    for repository in (f"a/{name}", f"b/{name}"):
        images = [tree.push_image(f"{step} {number}".encode(), f"v{number}", name=repository) for number in range(2)]
        tree.push_index(*images, tags=("multi",), name=repository)
        tree.push_blob(f"{step} alone".encode(), repository)
    return tree


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_import_continues(step: str, place: MovingPlace, commands: Commands, tmp_path: Path) -> None:
    tree = filled(tmp_path / "tree", step)

    killed = commands.run("importregistry", str(tree.root), *HOW, failpoints=step)
    between = commands.run("fsck")
    ended = commands.run("importregistry", str(tree.root), *HOW)

    assert killed.status == -9, killed.output
    assert between.output == "no problems\n"
    assert ended.status == 0, ended.output
    assert commands.run("fsck", "--deep").output == "no problems\n"
    digests = {digest for (digest,) in place.rows("SELECT digest FROM distribution_blob")}
    assert {digest_of(f"{step} {what}".encode()) for what in (0, 1, "alone")} <= digests
    counted = place.rows(
        "SELECT count(*) FROM distribution_tag tag JOIN distribution_repository repository "
        f"ON repository.id = tag.repository_id WHERE repository.name LIKE '%{step.replace('=', '/').replace('@', '-')}'"
    )
    assert counted[0][0] == 6
    assert "0 manifests, 0 new tags, 0 moved tags, 0 blobs" in commands.run("importregistry", str(tree.root)).output


@pytest.mark.parametrize("step", ["export.after_blob=kill@2", "export.after_repository=kill"])
def test_a_killed_export_continues(step: str, commands: Commands, tmp_path: Path) -> None:
    tree = filled(tmp_path / "tree", step)
    assert commands.run("importregistry", str(tree.root), *HOW).status == 0
    words = ("exportregistry", str(tmp_path / "out"), "--repository", f"*/{step.replace('=', '/').replace('@', '-')}")

    killed = commands.run(*words, failpoints=step)
    ended = commands.run(*words, "--verify")

    assert killed.status == -9, killed.output
    assert ended.status == 0, ended.output
    found = {
        path.relative_to(tmp_path / "out"): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == {path.relative_to(tree.root): path.read_bytes() for path in tree.root.rglob("*") if path.is_file()}
