"""Copy the repositories of another registry: what is missing here, verified, and again as often as one likes."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from django.db import connections
from django.db.models import Q

from acl.names import InvalidNameError, RepositoryName, parse_name
from core.api.errors import RegistryError
from distribution import queries
from distribution.caching.fetches import Fetch
from distribution.manifests import store
from distribution.manifests.incoming import FETCHED_BY, SYNCED_BY
from distribution.models import Manifest, ManifestChild
from distribution.protocol.digest import Digest, parse_digest
from distribution.protocol.manifest_parser import ParsedManifest, parse_manifest
from distribution.protocol.references import Tag, parse_reference
from upstreams.client import RemoteManifest, Upstream
from upstreams.exchange import Exchange, LimitedError, MissingError, UnreachableError, UpstreamError

RETRY_SECONDS = (1.0, 5.0, 15.0)
MAX_DEPTH = 8
"""Of indexes in indexes, and referrers of referrers."""

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Report:
    """What was done so far; `left_out` has a line for each thing that is not here, with the reason."""

    repositories: int = 0
    tags: int = 0
    current: int = 0
    manifests: int = 0
    blobs: int = 0
    size: int = 0
    left_out: list[str] = field(default_factory=list)

    def so_far(self) -> str:
        return (
            f"{self.repositories:,} repositories, {self.tags:,} tags ({self.current:,} current), "
            f"{self.manifests:,} manifests, {self.blobs:,} blobs, {len(self.left_out):,} left out"
        )


class Synchronization:
    """One run; `on_step` is called after each manifest and blob."""

    def __init__(
        self, upstream: Upstream, *, jobs: int = 4, is_dry_run: bool = False, on_step: Callable[[], None] = lambda: None
    ) -> None:
        self.report = Report()
        self.on_step = on_step
        self._upstream, self._is_dry_run = upstream, is_dry_run
        self._threads = ThreadPoolExecutor(jobs)
        self._seen: set[str] = set()
        # Of those seen: what is here with all that it names.
        self._whole: set[str] = set()

    def run(self, names: Iterator[str]) -> Report:
        """Copy these repositories. Raises UnreachableError when the registry does not come back."""
        with self._threads:
            for text in names:
                self.report.repositories += 1
                try:
                    name = parse_name(text)
                except InvalidNameError as error:
                    self.report.left_out.append(f"{text!a}: {error}")
                    continue
                self._seen, self._whole = set(), set()
                with self._reported(name):
                    for tag in self._patiently(partial(_tags, self._upstream, name)):
                        self._copy_tag(name, tag)
        return self.report

    def _copy_tag(self, name: RepositoryName, text: str) -> None:
        self.report.tags += 1
        with self._reported(f"{name}:{text[:128]!a}"):
            tag = parse_reference(text)
            if isinstance(tag, Digest):
                return
            digest = self._patiently(lambda: self._upstream.head_manifest(name, tag)).digest
            found = queries.manifest(name, tag, with_payload=False)
            if found is not None and found.digest == digest and _is_complete(found.pk):
                self.report.current += 1
            elif not self._is_dry_run:
                self._copy(name, tag, (tag,))
            if digest and not self._is_dry_run:
                self._copy_referrers(name, digest, 0)

    def _copy(self, name: RepositoryName, reference: Digest | Tag, tags: tuple[Tag, ...], depth: int = 0) -> None:
        """Copy what a manifest names, then the manifest itself. Raises RegistryError, UpstreamError."""
        fetched: RemoteManifest = self._patiently(lambda: self._upstream.manifest(name, str(reference)))
        digest = reference if isinstance(reference, Digest) else Digest.of(fetched.payload)
        if not isinstance(reference, Digest) and fetched.digest:
            digest = parse_digest(fetched.digest)
        if str(digest) in self._seen and not tags:
            return
        self._seen.add(str(digest))
        parsed = parse_manifest(fetched.payload, fetched.media_type)
        for child in parsed.children if depth < MAX_DEPTH else ():
            if str(child.digest) not in self._seen:
                with self._reported(f"{name}@{child.digest}"):
                    self._copy(name, child.digest, (), depth + 1)
        is_whole = self._copy_blobs(name, parsed) and self._whole.issuperset(str(one.digest) for one in parsed.children)
        if is_whole:
            self._whole.add(str(digest))
        # Here, a tag names what can be pulled: rather the image of before than one that lacks a layer.
        moved = tags if is_whole else ()
        store.keep_fetched(name, fetched.payload, fetched.media_type, digest, moved, account=SYNCED_BY)
        if tags and not is_whole:
            self.report.left_out.append(f"{name}:{tags[0]}: {digest} lacks what it names; the tag stays as it is here")
        self.report.manifests += 1
        self.on_step()

    def _copy_blobs(self, name: RepositoryName, parsed: ParsedManifest) -> bool:
        """Copy the blobs of a manifest; return whether all that it requires are here."""
        is_whole = True
        wanted = {str(blob.digest): blob for blob in (*parsed.blobs, *parsed.optional_blobs)}
        missing = [blob for blob in wanted.values() if queries.blob(name, blob.digest) is None]
        optional = {str(blob.digest) for blob in parsed.optional_blobs}
        running = [(blob, self._threads.submit(self._copy_blob, name, blob.digest)) for blob in missing]
        for blob, done in running:
            error = done.exception()
            if isinstance(error, UnreachableError):
                raise error
            if error is None:
                self.report.blobs += 1
                self.report.size += blob.size
            elif str(blob.digest) not in optional:
                is_whole = False
                self.report.left_out.append(f"{name}@{blob.digest}: {_told(error)}")
            self.on_step()
        return is_whole

    def _copy_blob(self, name: RepositoryName, digest: Digest) -> None:
        def ask(method: str) -> Exchange:
            return self._patiently(partial(self._upstream.blob, name, str(digest), method))

        try:
            # Whoever runs this copies all of the registry, and believes it.
            Fetch(name, digest, ask, is_trusted=True).run()
        finally:
            connections.close_all()

    def _copy_referrers(self, name: RepositoryName, digest: str, depth: int) -> None:
        try:
            found = self._patiently(lambda: self._upstream.referrers(name, digest))
        except UnreachableError:
            raise
        except UpstreamError:
            # A registry before version 1.1 of the specification: what refers to a manifest has a tag there.
            return
        for text in found:
            with self._reported(f"{name}@{text[:140]!a}"):
                referrer = parse_digest(text)
                if text not in self._seen and depth < MAX_DEPTH:
                    here = queries.manifest(name, referrer, with_payload=False)
                    if here is None or not _is_complete(here.pk):
                        self._copy(name, referrer, ())
                    self._seen.add(text)
                    self._copy_referrers(name, text, depth + 1)

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Return what `ask` does; wait when the registry limits requests or does not answer. Raises UpstreamError."""
        for seconds in (*RETRY_SECONDS, None):
            try:
                return ask()
            except LimitedError as error:
                logger.warning("the registry limits requests", extra={"seconds": error.retry_after})
                time.sleep(min(error.retry_after, 3600))
            except MissingError:
                raise
            except UpstreamError:
                if seconds is None:
                    raise
                time.sleep(seconds)
        return ask()

    @contextmanager
    def _reported(self, what: str) -> Iterator[None]:
        """Report what fails in the block, and go on; a registry that does not answer at all ends the run."""
        try:
            yield
        except UnreachableError:
            raise
        except (RegistryError, UpstreamError) as error:
            self.report.left_out.append(f"{what}: {_told(error)}")


def _tags(upstream: Upstream, name: str) -> list[str]:
    return list(upstream.tags(name))


def _told(error: BaseException) -> str:
    return error.message if isinstance(error, RegistryError) else str(error)


def _is_complete(pk: int) -> bool:
    """Tell whether everything that the manifest and its children name is here, to stay."""
    lacking = Q(missing__isnull=False) | Q(pushed_by__startswith=FETCHED_BY)
    pks, looked_at = {pk}, set[int]()
    while pks:
        if Manifest.objects.filter(lacking, pk__in=pks).exists():
            return False
        looked_at |= pks
        pks = set(ManifestChild.objects.filter(parent__in=pks).values_list("child_id", flat=True)) - looked_at
    return True
