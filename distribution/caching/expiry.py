"""Remove what was fetched and nobody has pulled for as long as the proxy says."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from accounts import permissions_version
from acl.names import RepositoryName
from core.api.errors import RegistryError
from core.durations import parse_duration
from distribution.manifests import store
from distribution.manifests.incoming import FETCHED_BY
from distribution.models import Manifest, ManifestChild, Tag
from distribution.protocol.digest import parse_digest
from upstreams import compiled
from upstreams.models import Proxy

BATCH = 200

logger = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """What became of an unused manifest: it was removed, with its tags, or it stays, which may be a failure."""

    manifests: int = 0
    tags: int = 0
    failures: int = 0


KEPT, FAILED = Outcome(), Outcome(failures=1)


def expire(now: datetime, scope: Q) -> Iterator[tuple[int, Outcome]]:
    """Remove the unused manifests within `scope`, with their tags; yield the repository and the outcome of each.

    An index goes before what it lists, which may wait for the next run. What protects a repository from deletion
    protects it here too.
    """
    version = permissions_version.current()
    for proxy in compiled.all_of(version):
        last = 0
        while rows := list(_unused(proxy, now).filter(scope, pk__gt=last)[:BATCH]) if proxy.keep_unused else []:
            for pk, repository_pk, name, digest in rows:
                is_held = compiled.of(name, version) is proxy
                is_unused = _unused(proxy, now).filter(pk=pk).exists
                yield repository_pk, _remove(RepositoryName(name), digest, is_unused) if is_held else KEPT
            last = rows[-1][0]


def _unused(proxy: Proxy, now: datetime) -> QuerySet[Any, tuple[int, int, str, str]]:
    """Return the unused manifests that no index lists, without those that somebody has tagged here."""
    rows = Manifest.objects.filter(repository__name__startswith=proxy.prefix, pushed_by__startswith=FETCHED_BY)
    rows = rows.filter(~Exists(ManifestChild.objects.filter(child=OuterRef("pk"))))
    pushed = Tag.objects.filter(manifest=OuterRef("pk")).exclude(pushed_by__startswith=FETCHED_BY)
    rows = rows.filter(~Exists(pushed))
    rows = rows.alias(used_at=Coalesce("pulled_at", "created_at"))
    rows = rows.filter(used_at__lt=now - parse_duration(proxy.keep_unused)).order_by("pk")
    return rows.values_list("pk", "repository_id", "repository__name", "digest")


def _remove(name: RepositoryName, digest: str, is_unused: Callable[[], bool]) -> Outcome:
    """Remove a manifest unless it is pulled, pushed or tagged meanwhile."""
    about = {"repository": name, "digest": digest}
    try:
        tags = store.delete(name, parse_digest(digest), account="", rules=None, expected=is_unused)
    except RegistryError as error:
        logger.info("unused content stays", extra=about | {"reason": error.message})
        return FAILED if error.status >= 500 else KEPT
    except Exception:  # one broken row must not keep the others
        logger.exception("unused content could not be removed", extra=about)
        return FAILED
    return Outcome(manifests=1, tags=tags)
