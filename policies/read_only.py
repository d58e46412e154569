"""Decide whether anything may be written to a repository."""

from core.api.errors import ErrorCode, RegistryError
from policies import compiled
from policies.models import ReadOnly


def require_writable(name: str, version: str) -> None:
    """Raise DENIED with the administrator's message for a repository that is read-only.

    403 DENIED: docker, podman and skopeo print its message and do not retry, as they would after a 503.
    """
    for policy in compiled.of(ReadOnly, name, version):
        message = f"{name} is read-only" + (f": {policy.message}" if policy.message else "")
        raise RegistryError(ErrorCode.DENIED, {"policy": policy.pk, "sentence": str(policy)}, message=message)
