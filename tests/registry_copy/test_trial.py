"""Debian's docker-registry, filled by skopeo and oras: imported, exported and served again, everything bit for bit."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.peers import PROGRAM
from tests.clients.layouts import Layout, image, multi_arch_image
from tests.clients.program import Program, skopeo_in
from tests.clients.server import ROOT, Server, started
from tests.documents import text
from tests.images import digest_of, manifest
from tests.registry_copy.source import SourceTree
from tests.registry_copy.theirs import Client, paths_of, theirs

pytestmark = [pytest.mark.client("docker-registry"), pytest.mark.client("skopeo")]

SBOM = "application/vnd.example.sbom"


def fill(client: Client, skopeo: Program, folder: Path) -> list[str]:
    """Push what a registry of some years has, and return the paths of what was deleted again."""
    for kind in ("oci", "v2s2"):
        skopeo.run("copy", f"--format={kind}", image(folder / kind).reference("v1"), skopeo.docker(f"my/{kind}:v1"))
    multi = multi_arch_image(folder / "multi").reference("v1")
    skopeo.run("copy", "--all", "--preserve-digests", multi, skopeo.docker("my/multi:v1"))
    skopeo.run("copy", "--all", "--format=v2s2", multi, skopeo.docker("my/multi/deeper:v1"))
    skopeo.run("copy", skopeo.docker("my/oci:v1"), skopeo.docker("my/copied:same"))
    # A tag that moved, and so a manifest without one.
    for number in range(2):
        skopeo.run("copy", image(folder / f"moved{number}").reference("v1"), skopeo.docker("my/oci:moved"))
    deleted = skopeo.run("inspect", "--format={{.Digest}}", skopeo.docker("my/v2s2:v1"))
    skopeo.run("delete", skopeo.docker("my/v2s2:v1"))
    skopeo.run("copy", "--format=v2s2", image(folder / "again").reference("v1"), skopeo.docker("my/v2s2:v2"))
    orphan = client.push_blob("my/oci", b"a push that was never ended")
    gone = client.push_blob("my/gone", b"of a repository with a deleted image")
    config = client.push_blob("my/gone", b"{}")
    image_gone = client.put("my/gone", "v1", manifest(b"{}", b"of a repository with a deleted image"))
    assert client.send("DELETE", f"/v2/my/gone/manifests/{image_gone}")[0] == 202
    assert client.send("DELETE", f"/v2/my/gone/blobs/{gone}")[0] == 202
    assert orphan != config
    return [f"/v2/my/v2s2/manifests/{deleted}", f"/v2/my/gone/manifests/{image_gone}", f"/v2/my/gone/blobs/{gone}"]


def attach(client: Client, folder: Path) -> tuple[str, str]:
    """Attach an artifact by oras, which keeps the fallback tag itself here; return the digests of both."""
    import oras.oci
    from oras.provider import Registry

    host = f"{client.address[0]}:{client.address[1]}"
    registry = Registry(hostname=host, insecure=True)
    file = folder / "sbom.txt"
    file.write_text("packages")
    status, headers, payload = client.send("GET", "/v2/my/oci/manifests/v1")
    assert status == 200
    subject = oras.oci.Subject(headers["content-type"], digest_of(payload), len(payload))
    options: dict[str, Any] = {"subject": subject, "disable_path_validation": True, "manifest_config": f"{file}:{SBOM}"}
    pushed = registry.push(target=f"{host}/my/oci:sbom", files=[str(file)], **options)
    referrer = str(pushed.headers["Docker-Content-Digest"])
    _, headers, artifact = client.send("GET", f"/v2/my/oci/manifests/{referrer}")
    listed = {"mediaType": headers["content-type"], "digest": referrer, "size": len(artifact), "artifactType": SBOM}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [listed]}
    client.put("my/oci", digest_of(payload).replace(":", "-"), json.dumps(index).encode())
    return digest_of(payload), referrer


def typed(mark: str, server: Server, folder: Path) -> str:
    """Type a block of docs/moving.md beside the server, with the paths of this test, and return what was said."""
    commands = re.sub(r"\.venv/bin/python manage\.py", f"{sys.executable} {ROOT}/manage.py", moving(mark))
    for path, own in (("/var/lib/registry", "storage"), ("/srv/exported", "exported"), ("/srv/layouts", "layouts")):
        commands = commands.replace(path, str(folder / own))
    done = subprocess.run(
        ["sh", "-eux", "-c", commands],
        check=False,
        cwd=server.folder,
        env=server.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def moving(mark: str) -> str:
    """Return a block, which may be in a list."""
    (found,) = re.findall(
        rf"<!-- runs: {mark} -->\n *```sh\n(.*?)^ *```", text("docs/moving.md"), re.DOTALL | re.MULTILINE
    )
    return str(found)


def test_a_registry_moves_in_and_out_again(tmp_path: Path) -> None:
    tree = SourceTree.at(tmp_path / "storage")
    with theirs(tmp_path / "theirs", tree.root) as registry:
        client = Client(registry.address)
        skopeo = skopeo_in(tmp_path, f"{registry.address[0]}:{registry.address[1]}")
        gone = fill(client, skopeo, tmp_path)
        subject, referrer = attach(client, tmp_path)
    collect = [PROGRAM, "garbage-collect", str(tmp_path / "theirs/config.yml")]
    subprocess.run(collect, check=True, capture_output=True)
    paths = [*paths_of(tree), *gone]
    with theirs(tmp_path / "collected", tree.root) as registry:
        before = Client(registry.address).answers(paths)
    (tmp_path / "ours").mkdir()

    with started(Server(tmp_path / "ours")) as server:
        # Beside the running server.
        said = typed("import", server, tmp_path)
        names = {path.split("/manifests/")[0].split("/blobs/")[0].removeprefix("/v2/") for path in paths}
        token = server.token("admin", *(f"repository:{name}:pull" for name in names))
        ours = Client(("127.0.0.1", server.port), f"Bearer {token}")
        imported = ours.answers(paths)
        referrers = json.loads(ours.send("GET", f"/v2/my/oci/referrers/{subject}")[2])["manifests"]
        checked = typed("compare", server, tmp_path)
        again = typed("import again", server, tmp_path)
        exported = typed("export", server, tmp_path)
        typed("layouts", server, tmp_path)
    with theirs(tmp_path / "new", tmp_path / "exported") as registry:
        after = Client(registry.address).answers(paths)
        tags = json.loads(Client(registry.address).send("GET", "/v2/my/oci/tags/list")[2])["tags"]

    assert "imported from 6 repositories" in said
    assert "to a layer whose bytes are gone there" in said
    assert sum(status == 200 for status, *_ in before.values()) > 30
    assert imported == before
    assert [one["digest"] for one in referrers] == [referrer]
    assert checked == "no problems\n"
    assert "0 manifests, 0 new tags, 0 moved tags, 0 blobs" in again
    assert "exported 5 repositories" in exported
    assert after == before
    assert set(tags) == {"v1", "moved", "sbom", subject.replace(":", "-")}
    layout = f"oci:{tmp_path}/layouts/my/multi/_oci:v1"
    copied = Layout(tmp_path / "copied")
    skopeo.run("copy", "--all", "--preserve-digests", layout, copied.reference("v1"))
    assert copied.blobs() == Layout.blobs(multi_arch_image_of(tmp_path / "multi"))


def multi_arch_image_of(folder: Path) -> Layout:
    layout = Layout.__new__(Layout)
    layout.folder = folder
    return layout
