"""Remove what was fetched and nobody has pulled for as long as the proxy says."""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from accounts import permissions_version
from acl.names import RepositoryName
from core.api.errors import RegistryError
from core.durations import parse_duration
from distribution.manifests import store
from distribution.manifests.incoming import FETCHED_BY
from distribution.models import Manifest, ManifestChild
from distribution.protocol.digest import parse_digest
from upstreams import compiled
from upstreams.models import Proxy

BATCH = 200

logger = logging.getLogger(__name__)


def expire(now: datetime, scope: Q) -> Iterator[tuple[int, int]]:
    """Remove the unused manifests within `scope`, with their tags; yield the repository of each, and how many tags.

    An index goes before what it lists. What protects a repository from deletion protects it here too.
    """
    version = permissions_version.current()
    for proxy in compiled.all_of(version):
        if not proxy.keep_unused:
            continue
        refused = set[int]()
        while rows := list(_unused(proxy, now).filter(scope).exclude(pk__in=refused)[:BATCH]):
            for pk, repository_pk, name, digest in rows:
                tags = _removed_tags(RepositoryName(name), digest) if compiled.of(name, version) is proxy else None
                if tags is None:
                    refused.add(pk)
                else:
                    yield repository_pk, tags


def _unused(proxy: Proxy, now: datetime) -> QuerySet[Any, tuple[int, int, str, str]]:
    """Return the unused manifests that no index lists."""
    rows = Manifest.objects.filter(repository__name__startswith=proxy.prefix, pushed_by__startswith=FETCHED_BY)
    rows = rows.filter(~Exists(ManifestChild.objects.filter(child=OuterRef("pk"))))
    rows = rows.alias(used_at=Coalesce("pulled_at", "created_at"))
    rows = rows.filter(used_at__lt=now - parse_duration(proxy.keep_unused)).order_by("pk")
    return rows.values_list("pk", "repository_id", "repository__name", "digest")


def _removed_tags(name: RepositoryName, digest: str) -> int | None:
    """Remove the manifest, and return how many tags went with it; None: it stays."""
    try:
        return store.delete(name, parse_digest(digest), account="", rules=None)
    except RegistryError as error:
        logger.info("unused content stays", extra={"repository": name, "digest": digest, "reason": error.message})
        return None
