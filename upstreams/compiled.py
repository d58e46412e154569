"""The proxy of a repository, compiled once per permissions version and process.

A trigger replaces that version at each change (`upstreams.apps`): it counts at the next request in every process.
"""

import logging

from django.core.exceptions import ValidationError

from core.caches import VersionedCache
from upstreams.models import Proxy, namespace_of

logger = logging.getLogger(__name__)

_rows: VersionedCache[tuple[Proxy, ...]] = VersionedCache(name="proxies")


def all_of(version: str) -> tuple[Proxy, ...]:
    """Return the valid and enabled proxies at a permissions version, those with the longest prefix first."""
    return _rows.get(version, None, _compile)


def of(name: str, version: str) -> Proxy | None:
    """Return the proxy of the repository `name`, None when it has none."""
    rows = all_of(version)
    return next((row for row in rows if row.holds_for(name)), None) if rows else None


def of_namespace(namespace: str, version: str) -> Proxy | None:
    """Return the proxy of a registry by the name that containerd sends as `?ns=`."""
    return next((row for row in all_of(version) if namespace_of(row.url) == namespace.lower()), None)


def pushed_elsewhere(name: str, version: str) -> Proxy | None:
    """Return the proxy that `name` can't be pushed to, None if it can be: a fallback takes pushes."""
    proxy = of(name, version)
    return None if proxy is None or proxy.is_fallback else proxy


def _compile() -> tuple[Proxy, ...]:
    """Read the valid proxies: only a database shell writes others."""
    valid = []
    for row in Proxy.objects.filter(enabled=True):
        try:
            row.full_clean(validate_unique=False, validate_constraints=False)
        except ValidationError:
            logger.exception("the proxy %s is not valid and has no effect", row.pk)
        else:
            valid.append(row)
    return tuple(sorted(valid, key=lambda row: -len(row.prefix)))
