"""The recipes of docs/clients.md, typed as they stand there; only port and password are those of the test's server."""

import json
from pathlib import Path

from tests.clients.program import login_file
from tests.clients.server import Server, password_of
from tests.clients.terminal import type_in
from tests.documents import block


def recipe(client: str, server: Server) -> str:
    """Return the recipe of `client`, for `server`."""
    return block("docs/clients.md", f"runs: {client}").replace("localhost:5000", f"localhost:{server.port}")


def follow(commands: str, folder: Path, environment: dict[str, str] | None = None) -> str:
    """Type `commands` in `folder` as alice and return what the terminal showed; fail when a command fails."""
    return type_in(commands, password_of("alice"), folder, settings_in(folder) | (environment or {}))


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


def tags_of(server: Server, repository: str, account: str = "alice") -> list[str]:
    """Return the tags that the account finds in `repository`."""
    token = server.token(account, f"repository:{repository}:pull")
    answer = server.request("GET", f"/v2/{repository}/tags/list", authorization=f"Bearer {token}")
    tags: list[str] = json.loads(answer.body)["tags"]
    return tags
