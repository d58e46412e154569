"""docs/moving.md, "In ten minutes", as typed: Debian's docker-registry and the file of docker_auth move here."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import preloaded
from tests.clients.layouts import image
from tests.clients.program import skopeo_in
from tests.clients.server import ROOT, Server, hash_of, password_of, started
from tests.documents import block
from tests.registry_copy.source import SourceTree
from tests.registry_copy.theirs import theirs

pytestmark = [pytest.mark.client("docker-registry"), pytest.mark.client("skopeo")]
DOCUMENT = "docs/moving.md"


class Moved(Server):
    """The registry with the configuration that the script has written."""

    def configuration(self) -> dict[str, object]:
        found: dict[str, object] = yaml.safe_load((self.folder / "config.yaml").read_text())
        return found

    def environment(self) -> dict[str, str]:
        return super().environment() | {"REGISTRY_DATABASE_URL": self.database_url}


def moved(server: Server, folder: Path, more: str = "") -> subprocess.CompletedProcess[str]:
    """Type the documented command; the packages are installed already."""
    typed = block(DOCUMENT, "runs: ten minutes").removeprefix("make .venv/run\n")
    typed = typed.replace("/var/lib/docker/volumes/acme_images/_data", str(folder / "storage"))
    typed = typed.replace("/srv/acme", str(folder))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = server.environment() | {"PORT": str(server.port), "PATH": path}
    return subprocess.run(
        ["sh", "-euc", typed.rstrip() + more], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def hashed(text: str, *accounts: str) -> str:
    """Return the file of docker_auth with the hashes of old passwords."""
    found: dict[str, Any] = yaml.safe_load(text)
    for account in accounts:
        found["users"][account]["password"] = hash_of(account)
    return yaml.safe_dump(found)


def test_the_registry_and_docker_auth_move_by_the_documented_command(tmp_path: Path) -> None:
    (tmp_path / "auth_config.yml").write_text(hashed(block(DOCUMENT, "docker_auth"), "admin", "ci"))
    with theirs(tmp_path / "theirs", tmp_path / "storage") as registry:
        pusher = skopeo_in(tmp_path, f"{registry.address[0]}:{registry.address[1]}")
        for name in ("web/app", "secret/app"):
            pusher.run("copy", image(tmp_path / name).reference("v1"), pusher.docker(f"{name}:v1"))
        before = pusher.run("inspect", "--format={{.Digest}}", pusher.docker("web/app:v1"))
    (tmp_path / "ours").mkdir()
    server = Moved(tmp_path / "ours")

    done = moved(server, tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    clock = [re.sub(r"^ *\d+ s  ", "", line).partition(":")[0] for line in done.stdout.splitlines() if " s  " in line]
    steps = ["configuration", "database", "users and rules", "images", "check of rows and files", "tags"]
    assert clock == steps
    assert "2 tags of 2 repositories answer with the same digest" in done.stdout
    with started(server):
        (tmp_path / "ci").mkdir()
        ci = skopeo_in(tmp_path / "ci", server.host)
        wrong = ci.refused("login", "--username=ci", "--password=wrong", server.host)
        ci.run("login", "--username=ci", "--password-stdin", server.host, stdin=password_of("ci"))
        pulled = ci.run("inspect", "--format={{.Digest}}", ci.docker("web/app:v1"))
        ci.run("copy", ci.docker("web/app:v1"), ci.docker("web/pushed:v1"))
        denied = ci.refused("copy", ci.docker("secret/app:v1"), f"dir:{tmp_path}/pulled")
        layout = image(tmp_path / "other").reference("v1")
        ci.run("copy", layout, ci.docker("web/app:v1"))
        check = [sys.executable, str(ROOT / "manage.py"), "checkimport", str(tmp_path / "storage")]
        checked = preloaded.run(check, env=server.environment(), cwd=server.folder, timeout=60)

    assert pulled == before
    assert "invalid username/password" in wrong
    assert "denied" in denied
    assert checked.returncode == 1
    assert "web/app:v1: it is sha256:" in checked.stdout
    assert "1 of 2 tags of 2 repositories answer otherwise than there" in checked.stderr


def test_what_is_left_out_is_named_and_the_rest_moves(tmp_path: Path) -> None:
    (tmp_path / "auth_config.yml").write_text(hashed(block(DOCUMENT, "docker_auth"), "admin", "ci"))
    (tmp_path / "htpasswd").write_text(f"alice:{hash_of('alice')}\nbob:$apr1$tXoTsfRC$Z0hoWXiq2Z0qPvbvMBdpG0\n")
    tree = SourceTree(tmp_path / "storage")
    tree.push_image(b"one", "v1", name="web/app")
    tree.push_image(b"two", "v2", name="web/app")
    tree.tag_link("v2", "web/app").write_text("nothing")
    (tmp_path / "ours").mkdir()

    done = moved(Moved(tmp_path / "ours"), tmp_path, more=f" {tmp_path}/htpasswd")

    assert done.returncode == 1
    assert "refused: line 2: the user 'bob'" in done.stdout
    assert "htpasswd: 1 changes, 1 lines refused" in done.stdout
    assert "2 manifests, 1 new tag" in done.stdout
    assert "web/app:v2: its link" in done.stderr
    assert "1 of 2 tags of 1 repository answer otherwise than there" in done.stdout
    assert "Not everything has moved: see above." in done.stderr
