"""The commands that fetch a manifest: those of each client that its kind is for."""

from dataclasses import dataclass

from distribution.protocol.digest import Digest
from distribution.protocol.references import Tag
from web.image.kinds import Kind


@dataclass(frozen=True, slots=True)
class Command:
    """What to type for a client."""

    client: str
    text: str


def commands_for(kind: Kind, repository: str, reference: Digest | Tag, chart_version: str = "") -> list[Command]:
    """Return the commands, the usual one first; `repository` begins with the host."""
    target = f"{repository}@{reference}" if isinstance(reference, Digest) else f"{repository}:{reference}"
    if kind.client == "helm":
        return [_helm(repository, reference, chart_version), Command("oras", f"oras pull {target}")]
    if kind.client == "docker":
        return [
            Command("docker", f"docker pull {target}"),
            Command("podman", f"podman pull {target}"),
            Command("nerdctl", f"nerdctl pull {target}"),
            Command("skopeo", f"skopeo copy docker://{target} oci:{repository.rpartition('/')[2]}"),
        ]
    return [Command("oras", f"oras pull {target}")]


def _helm(repository: str, reference: Digest | Tag, chart_version: str) -> Command:
    if isinstance(reference, Digest):
        return Command("helm", f"helm pull oci://{repository}@{reference}")
    # A tag has no `+`: Helm writes `_` for it.
    of_tag = chart_version.replace("+", "_") == reference
    version = chart_version if of_tag else reference.replace("_", "+")
    return Command("helm", f"helm pull oci://{repository} --version {version}")
