"""The recipes of docs/clients.md, run as they stand there."""

import json
import os
import re
import subprocess
from pathlib import Path

from tests.clients.program import login_file
from tests.clients.server import ROOT, Server, password_of

PAGE = ROOT / "docs" / "clients.md"
COMMANDS = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def recipe(client: str) -> str:
    """Return the commands in the section of `client`."""
    section = PAGE.read_text().split(f"\n## {client}\n")[1].split("\n## ")[0]
    commands = "\n".join(COMMANDS.findall(section))
    assert commands, f"{PAGE} has no commands for {client}"
    return commands


def run_recipe(client: str, server: Server, folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run the recipe in `folder`, as alice, and return what it printed; fail where a command of it fails."""
    known = {"REGISTRY": server.host, "PASSWORD": password_of("alice")} | settings_in(folder)
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", recipe(client)],
        cwd=folder,
        env=os.environ | known | (environment or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def settings_in(folder: Path) -> dict[str, str]:
    """Return the environment that keeps the clients to `folder`, whatever the machine's own settings are."""
    storage = f'driver = "vfs"\ngraphroot = "{folder}/storage"\nrunroot = "{folder}/run"\n'
    (folder / "storage.conf").write_text(f"[storage]\n{storage}")
    (folder / "containers.conf").write_text('[engine]\ncgroup_manager = "cgroupfs"\n')
    (folder / "registries.conf").touch()
    return {
        "HOME": str(folder),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        "REGISTRY_AUTH_FILE": str(login_file(folder)),
    }


def tags_of(server: Server, repository: str) -> list[str]:
    """Return the tags that alice finds in `repository`."""
    token = server.token("alice", f"repository:{repository}:pull")
    answer = server.request("GET", f"/v2/{repository}/tags/list", authorization=f"Bearer {token}")
    tags: list[str] = json.loads(answer.body)["tags"]
    return tags
