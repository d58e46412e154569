"""Ask the running server for each tag of a tree, by the token of an account that may pull it."""

from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse

from accounts import permissions_version
from accounts.identity import ANONYMOUS, Identity, identity_of
from accounts.models import Account
from acl import grants
from acl.actions import Access
from registry_copy.errors import CopyError, LeftOutError
from registry_copy.source.tree import Tree
from tokens.issue import issue

# Each repository without an account that may pull it is compared with the rules about all of these.
_MOST_ACCOUNTS = 1000
# A token ends before a large repository does.
_TAGS_OF_A_TOKEN = 100
_PULL = frozenset({"pull"})
_LOOPBACK = "127.0.0.1"
_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


@dataclass
class Checked:
    """What came of a check; `faults` say which tag answers otherwise than there."""

    tags: int = 0
    repositories: int = 0
    unreachable: list[str] = field(default_factory=list)
    """Repositories that no account may pull."""
    faults: list[str] = field(default_factory=list)


def check(tree: Tree, host: str, port: int) -> Checked:
    """Ask for each tag of the tree. Raises CopyError if nothing answers."""
    checked, pullers = Checked(), _Pullers()
    with closing(HTTPConnection(host, port, timeout=60)) as connection:
        if (status := _head(connection, "/health", {}).status) != 200:
            raise CopyError(f"http://{host}:{port}/health is {status}: is that another server? Set another server.addr")
        for name in tree.repositories():
            tags = sorted(tree.tags(name))
            if not tags:
                continue
            puller = pullers.of(name)
            if puller is None:
                checked.unreachable.append(name)
                continue
            checked.repositories += 1
            for start in range(0, len(tags), _TAGS_OF_A_TOKEN):
                token = issue(puller, [Access("repository", name, _PULL)], address=_LOOPBACK).token
                headers = {"Authorization": f"Bearer {token}", "Accept": _ACCEPT}
                for tag in tags[start : start + _TAGS_OF_A_TOKEN]:
                    checked.tags += 1
                    if fault := _fault(tree, connection, name, tag, headers):
                        checked.faults.append(f"{name}:{tag}: {fault}")
    return checked


def _fault(tree: Tree, connection: HTTPConnection, name: str, tag: str, headers: dict[str, str]) -> str:
    """Return how the answer differs from the tree, "" if it does not."""
    try:
        expected = str(tree.tag(name, tag).digest)
    except LeftOutError as error:
        return str(error)
    answer = _head(connection, f"/v2/{name}/manifests/{tag}", headers)
    if answer.status != 200:
        return f"the answer is {answer.status}"
    digest = answer.headers.get("Docker-Content-Digest", "none")
    return "" if digest == expected else f"it is {digest} here, and {expected} there"


def _head(connection: HTTPConnection, path: str, headers: dict[str, str]) -> HTTPResponse:
    try:
        connection.request("HEAD", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException) as error:
        raise CopyError(f"http://{connection.host}:{connection.port} does not answer: {error}") from error
    return answer


class _Pullers:
    """Finds an account that may pull a repository: the one before may pull most of them."""

    def __init__(self) -> None:
        self._version = permissions_version.current()
        names = Account.objects.filter(is_active=True).order_by("-is_superuser", "pk").values_list("name", flat=True)
        found = [identity_of(name, self._version) for name in names[:_MOST_ACCOUNTS]]
        self._identities = [identity for identity in found if identity is not None]
        self._identities.append(ANONYMOUS)

    def of(self, name: str) -> Identity | None:
        for identity in self._identities:
            located = grants.located(identity, _LOOPBACK, self._version)
            if "pull" in grants.actions_on(located, name, self._version):
                self._identities.remove(identity)
                self._identities.insert(0, identity)
                return identity
        return None
