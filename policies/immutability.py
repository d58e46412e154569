"""Decide whether a tag may move, and whether something may be deleted.

The verbs decide within their transaction, with the row of the tag locked: of two clients that set it at once, the
second one finds what the first has set.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

from django.conf import settings

from accounts import permissions_version
from core.api.errors import ErrorCode, RegistryError
from policies import compiled, read_only
from policies.models import ImmutableTags

REASON_CHARACTERS = 200


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

    @classmethod
    def of_push(cls, name: str, version: str | None) -> "Immutability":
        """Return what holds for a push at a permissions version. Raises DENIED for a repository that is read-only."""
        version = version or permissions_version.current()
        read_only.require_writable(name, version)
        return cls.of(name, version)

    @classmethod
    def of_removal(cls, name: str, version: str | None = None, *, is_overridden: bool = False) -> "Immutability":
        """Return what holds for a deletion at a permissions version, None: the current one.

        Raises UNSUPPORTED when deletion is switched off, DENIED for a repository that is read-only.
        """
        if not settings.REGISTRY.storage.deletion:
            message = "deletion is switched off here (storage.deletion)"
            raise RegistryError(ErrorCode.UNSUPPORTED, message, message=message)
        version = version or permissions_version.current()
        read_only.require_writable(name, version)
        return cls.of(name, version, is_overridden=is_overridden)

    @property
    def is_protected(self) -> bool:
        """Whether nothing is deleted in the repository."""
        return any(policy.protected for policy in self.policies)

    def require_deletable(self, tags: Iterable[str] = ()) -> None:
        """Raise DENIED, 409, when the repository is protected, or one of `tags`, which are set, is immutable."""
        for policy in self.policies:
            if policy.protected:
                said = f"the repository {self.name} is protected: {policy} (policy {policy.pk})"
                raise _denied(f"{said}; an administrator may change the policy", policy, "")
        if any(policy.tags for policy in self.policies):
            for tag in tags:
                self.require_movable(tag)

    def require_movable(self, tag: str) -> None:
        """Raise DENIED, 409, for a tag that is set and immutable: it neither moves nor goes."""
        for policy in self.policies:
            if policy.covers(tag):
                said = f"the tag {tag} of {self.name} is immutable: {policy} (policy {policy.pk})"
                raise _denied(f"{said}; push under another tag, or ask an administrator", policy, tag)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why policies forbid a change, as a refusal says it; a superuser may set immutability alone aside."""

    reason: str
    is_overridable: bool

    @classmethod
    def to_deletion(cls, name: str, version: str, tags: Iterable[str] = ()) -> "Obstacle | None":
        """Return what keeps `tags`, or what they name, from deletion; without tags, what keeps all from it."""
        return cls._of(lambda: Immutability.of_removal(name, version).require_deletable(tags))

    @classmethod
    def to_move(cls, name: str, version: str, tag: str) -> "Obstacle | None":
        """Return what keeps a tag that is set from moving."""
        return cls._of(lambda: Immutability.of_push(name, version).require_movable(tag))

    @classmethod
    def _of(cls, check: Callable[[], None]) -> "Obstacle | None":
        try:
            check()
        except RegistryError as error:
            return cls(error.message, is_overridable=error.status == HTTPStatus.CONFLICT)
        return None


def override_note(reason: str) -> str:
    """Return what the audit says of an override, "" without a reason."""
    words = " ".join(reason.replace("\0", "").split())[:REASON_CHARACTERS]
    return f"immutability overridden: {words}" if words else ""


def _denied(message: str, policy: ImmutableTags, tag: str) -> RegistryError:
    """Return a 409, as for content in use: the state of the repository forbids it, not a missing permission.

    skopeo and podman print the message, and docker too; none of them retries DENIED.
    """
    detail = {"policy": policy.pk, "sentence": str(policy)} | ({"tag": tag} if tag else {})
    return RegistryError(ErrorCode.DENIED, detail, status=409, message=message)
