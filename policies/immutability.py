"""Decide whether a tag may move, and whether something may be deleted.

The verbs decide within their transaction, with the row of the tag locked: of two clients that set it at once, the
second one finds what the first has set.
"""

from dataclasses import dataclass

from accounts import permissions_version
from core.api.errors import ErrorCode, RegistryError
from policies import compiled
from policies.models import ImmutableTags


@dataclass(frozen=True, slots=True)
class Immutability:
    """The policies of the repository `name`; without any, everything may move."""

    name: str
    policies: tuple[ImmutableTags, ...] = ()

    @classmethod
    def of(cls, name: str, version: str | None = None, *, is_overridden: bool = False) -> "Immutability":
        """Return what holds at a permissions version, None: the current one; nothing if it `is_overridden`."""
        if is_overridden:
            return cls(name)
        return cls(name, compiled.of(ImmutableTags, name, version or permissions_version.current()))

    def require_movable(self, tag: str) -> None:
        """Raise DENIED, 409, for a tag that is set and immutable: it neither moves nor goes."""
        for policy in self.policies:
            if policy.covers(tag):
                said = f"the tag {tag} of {self.name} is immutable: {policy} (policy {policy.pk})"
                raise _denied(f"{said}; push under another tag, or ask an administrator", policy, tag)


def _denied(message: str, policy: ImmutableTags, tag: str) -> RegistryError:
    """Return a 409, as for content in use: the state of the repository forbids it, not a missing permission.

    skopeo and podman print the message, and docker too; none of them retries DENIED.
    """
    detail = {"policy": policy.pk, "sentence": str(policy)} | ({"tag": tag} if tag else {})
    return RegistryError(ErrorCode.DENIED, detail, status=409, message=message)
