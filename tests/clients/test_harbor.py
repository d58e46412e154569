"""docs/moving.md, "Coming from Harbor": the recipe of skopeo sync as typed, with docker-registry in place of Harbor."""

import re
from pathlib import Path

import pytest

from tests.clients.docker_registry import PASSWORD, USERNAME, DockerRegistry, running
from tests.clients.layouts import image
from tests.clients.program import skopeo_in
from tests.clients.recipes import follow, tags_of
from tests.clients.server import Server
from tests.documents import text

pytestmark = pytest.mark.client("docker-registry", "skopeo")
TAGS = {"app": ["v1", "latest"], "base": ["v1", "v2", "v3"], "tool": ["release-1", "nightly"]}


def documented(mark: str) -> str:
    """Return a block, which is in a list."""
    (found,) = re.findall(
        rf"<!-- {mark} -->\n   ```\w+\n(.*?)^   ```", text("docs/moving.md"), re.DOTALL | re.MULTILINE
    )
    return re.sub(r"(?m)^   ", "", found)


def test_the_recipe_copies_a_project(server: Server, tmp_path: Path) -> None:
    (tmp_path / "upstream").mkdir()
    with running(DockerRegistry(tmp_path / "upstream")) as harbor:
        pusher = skopeo_in(tmp_path / "upstream", harbor.host)
        pusher.run("login", f"--username={USERNAME}", f"--password={PASSWORD}", harbor.host)
        for name, tags in TAGS.items():
            for tag in tags:
                layout = image(tmp_path / name / tag).reference("v1")
                pusher.run("copy", layout, pusher.docker(f"team/{name}:{tag}"))
        names = {
            "harbor.example.com": f'"{harbor.host}"',
            "robot$team+mover": USERNAME,
            "PUT-THE-SECRET-HERE": PASSWORD,
            "verify: true": "verify: false",
        }
        project = documented("skopeo sync")
        for name, own in names.items():
            project = project.replace(name, own)
        (tmp_path / "team.yaml").write_text(project)
        typed = documented("runs: skopeo sync").replace("registry.example.com/team", f"{server.host}/alice/team")
        typed = typed.replace("registry.example.com", server.host)
        # Both speak plain HTTP.
        typed = typed.replace("login", "login --tls-verify=false")
        typed = typed.replace("sync", "sync --dest-tls-verify=false")

        follow(typed, tmp_path)

        there = pusher.run("inspect", "--format={{.Digest}}", pusher.docker("team/app:latest"))
    found = {name: sorted(tags_of(server, f"alice/team/{name}")) for name in TAGS}
    assert found == {"app": ["latest", "v1"], "base": ["v1", "v2"], "tool": ["release-1"]}
    token = server.token("alice", "repository:alice/team/app:pull")
    answer = server.request("HEAD", "/v2/alice/team/app/manifests/latest", authorization=f"Bearer {token}")
    assert answer.headers["docker-content-digest"] == there
