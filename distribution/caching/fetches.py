"""Blobs on their way from an upstream into the storage: each is fetched once, however many clients want it.

    client ──> join ──┬─ running in this process ──> read along
                      └─ new thread ──┬─ session under an id of name and digest ──> upstream ──> upload ──> blob
                                      └─ another process has it open ──> wait for the blob, take over if it died

A fetch goes on when its clients leave. The session's lease tells other processes that it is alive.
"""

import contextlib
import logging
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import IO

from django.conf import settings
from django.db import Error, connections

from acl.names import RepositoryName
from core.api.errors import ErrorCode, RegistryError, unavailable
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import release_connection
from distribution import blobs, queries, repositories
from distribution.caching.body import UpstreamBody
from distribution.caching.faults import as_client_error
from distribution.caching.growing import CutOffError, GrowingFile
from distribution.manifests import missing
from distribution.models import Blob, Upload
from distribution.protocol.digest import Digest
from distribution.protocol.spec import CONTENT_DIGEST_HEADER
from distribution.repositories import RepositoryRow
from distribution.storage.blob_store import MissingObjectError, blob_store
from distribution.storage.stored_content import Content
from distribution.uploads import chunks, sessions
from distribution.usage.quotas import Room
from upstreams.exchange import Exchange, UpstreamError

MAX_FETCHES = 64
"""Of one process at once: each is a thread and a connection to an upstream."""

SHARE = 8
"""An account may have so many of them, and more while that leaves as many places free as it has."""

POLL_SECONDS = 0.2
# A session without a lease is about to get one, or its process has died.
UNCLAIMED_SECONDS = 15
_NAMESPACE = uuid.UUID("6f3f7a5e-52a4-4c55-9d0c-6a0cf1f3b7f2")

Ask = Callable[[str], Exchange]

logger = logging.getLogger(__name__)

_IS_ALIVE = Statement(f"""
SELECT COALESCE(leased_until > statement_timestamp(),
    active_at > statement_timestamp() - interval '{UNCLAIMED_SECONDS} seconds')
FROM distribution_upload WHERE id = %s
""")  # noqa: S608 - of a constant

_KEY = Statement("SELECT key FROM distribution_segment WHERE upload_id = %s AND size IS NULL")

_running: dict[tuple[str, str], "Fetch"] = {}
_lock = threading.Lock()


class Fetch:
    """A blob on its way; `ask` sends a request with a method to the upstream.

    With `is_trusted`, a blob that another repository has is linked once the upstream claims to have it. Otherwise it
    comes like any other: only its bytes prove that who controls the upstream does not merely know its digest.
    """

    def __init__(
        self, name: RepositoryName, digest: Digest, ask: Ask, *, wanted_by: str = "", is_trusted: bool = False
    ) -> None:
        self.name, self.digest, self.wanted_by = name, digest, wanted_by
        self._ask, self._is_trusted = ask, is_trusted
        self._session = session_of(name, digest)
        self._changed = threading.Condition()
        # The growing object, its size (-1: unknown), and how many objects there were before it.
        self._descriptor = self._size = -1
        self._attempt = 0
        self._followed = ""
        self._has_head = self._is_done = False
        self._error: RegistryError | None = None

    def start(self) -> None:
        """Fetch in a thread of its own. Raises UNAVAILABLE when there is none."""
        try:
            threading.Thread(target=self._work, name="fetch", daemon=True).start()
        except RuntimeError as error:
            raise unavailable("no thread to fetch from the upstream") from error

    def _wait(self, attempt: int, seconds: float) -> bool:
        """Wait for further bytes at most so long; return whether the object became the blob. Raises CutOffError."""
        with self._changed:
            if seconds and not self._is_done:
                self._changed.wait(seconds)
            if self._error is not None or attempt != self._attempt:
                raise CutOffError(f"the fetch failed: {self._error or 'another process has begun anew'}")
            return self._is_done

    def open(self, seconds: float, *, is_whole: bool) -> GrowingFile | None:
        """Return the growing object once its size is known, None when the blob is stored.

        With `is_whole`, and for an upstream without Content-Length, only the stored blob does. Raises the error of the
        fetch; UNAVAILABLE after `seconds`.
        """
        with self._changed:
            ready = self._changed.wait_for(lambda: self._is_done or (self._has_head and not is_whole), seconds)
            if self._error is not None:
                raise self._error
            if not ready:
                raise unavailable("the blob is still being fetched from the upstream", 10)
            if self._is_done:
                return None
            if self._descriptor >= 0 and self._size >= 0:
                return GrowingFile(os.dup(self._descriptor), self._size, partial(self._wait, self._attempt))
        return self.open(seconds, is_whole=True)

    def _work(self) -> None:
        error: RegistryError | None = None
        try:
            self.run()
        except RegistryError as refused:
            error = refused
            if refused.code is ErrorCode.DIGEST_INVALID:
                error = unavailable("the upstream sent other bytes than those of the digest", 60)
            logger.warning(
                "a blob was not fetched", extra={"digest": str(self.digest), "reason": str(refused.__cause__ or error)}
            )
        except Exception:
            logger.exception("a blob could not be fetched", extra={"digest": str(self.digest)})
            error = unavailable("the blob could not be fetched")
        finally:
            with _lock:
                _running.pop((self.name, str(self.digest)), None)
            with self._changed:
                self._error, self._is_done = error, True
                self._close()
            with contextlib.suppress(Exception):
                connections.close_all()

    def run(self) -> None:
        """Fetch the blob, or wait until another process has. Raises RegistryError."""
        if self._is_trusted and self._is_linked():
            return
        while True:
            upload = sessions.start_fetch(self.name, self._session, self.digest.algorithm)
            # Asked with the session open: another process may have ended its own since the client found nothing.
            found = queries.blob(self.name, self.digest)
            if found is not None:
                break
            if upload is not None:
                self._withdraw()
                self._receive(upload)
                return
            is_alive = _IS_ALIVE.value(self._session)
            if is_alive:
                self._follow()
            elif is_alive is not None:
                self._take_over()
            release_connection()
            time.sleep(POLL_SECONDS)
        if upload is not None:
            _cancel(upload)
        # The size that clients were told is the upstream's: a shorter one would look complete.
        if (found.key, found.size) != (self._followed, self._size):
            self._withdraw()

    def _follow(self) -> None:
        """Let clients read along in the object that another process writes, on a disk that both have."""
        key = _KEY.value(self._session)
        if key is None or key == self._followed or not blob_store().is_disk:
            return
        try:
            file = blob_store().open_at(key)
        except MissingObjectError:
            return
        self._withdraw()
        self._followed = key
        release_connection()
        with file, contextlib.suppress(UpstreamError), self._ask("HEAD") as answer:
            length = answer.headers.get("Content-Length", "")
            self._show(file, int(length) if length.isdecimal() else -1)

    def _show(self, file: IO[bytes], size: int) -> None:
        """Let clients read along in a file."""
        with self._changed:
            self._descriptor, self._size, self._has_head = os.dup(file.fileno()), size, True
            self._changed.notify_all()

    def _withdraw(self) -> None:
        """Cut off the clients that read along: what they read is not going to be the blob."""
        with self._changed:
            self._attempt += 1
            self._has_head = False
            self._close()

    def _close(self) -> None:
        """Close the growing object, whose readers have descriptors of their own; needs the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._changed.notify_all()

    def _take_over(self) -> None:
        """Remove the session of a process that died: what it has stored goes to the trash."""
        left = Upload.objects.filter(pk=self._session).select_related("repository").first()
        if left is not None:
            _cancel(left)

    def _is_linked(self) -> bool:
        """Link a blob that another repository has, if the upstream has it in this one too; no byte is fetched."""
        blobs.mark_if_lost(self.digest)
        known = Blob.objects.filter(digest=str(self.digest), is_corrupt=False).first()
        if known is None:
            return False
        release_connection()
        try:
            with self._ask("HEAD") as answer:
                headers = answer.headers
        except UpstreamError as error:
            raise as_client_error(error, ErrorCode.BLOB_UNKNOWN) from error
        is_same = headers.get("Content-Length") == str(known.size)
        is_same = is_same and headers.get(CONTENT_DIGEST_HEADER, known.digest) == known.digest
        return is_same and transactions.run(self._link)

    def _lock_repository(self) -> tuple[RepositoryRow, Room]:
        """Take the locks that come before those of rows, and the repository's."""
        room = Room.without_limits(self.name)
        room.lock()
        transactions.take_advisory_locks(missing.lock_name(self.name))
        return repositories.ensure_row(self.name), room

    def _link(self) -> bool:
        repository, room = self._lock_repository()
        manifests = missing.lock_awaiting(repository.pk, str(self.digest))
        blob = Blob.objects.select_for_update().filter(digest=str(self.digest), is_corrupt=False).first()
        if blob is None:
            return False
        if blobs.link_into(repository.pk, blob.pk):
            room.at(repository.permissions_version).blob_linked(blob.pk, blob.size)
        missing.blob_arrived(repository.pk, manifests, str(self.digest))
        return True

    def _receive(self, upload: Upload) -> None:
        body = UpstreamBody(lambda: self._ask("GET"), lambda answer: self._begin(upload, body, answer), self._grow)
        try:
            with chunks.claiming(upload) as claim:
                content = sessions.received_whole(upload, claim, body, self.digest)
                blobs.mark_if_lost(self.digest)
                transactions.run(self._publish, upload, content)
        except BaseException:
            _cancel(upload)
            raise
        finally:
            body.close()
            if body.spool is not None:
                body.spool.close()

    def _begin(self, upload: Upload, body: UpstreamBody, answer: Exchange) -> None:
        """Let clients read along: in the object on a disk, otherwise in a file that has no name."""
        store, size = blob_store(), -1 if answer.size is None else answer.size
        if store.is_disk and upload.first_key is not None:
            with store.open_at(upload.first_key) as file:
                self._show(file, size)
        else:
            body.spool = tempfile.TemporaryFile(dir=settings.REGISTRY.server.data_directory, buffering=0)  # noqa: SIM115 - `_receive` closes it
            self._show(body.spool, size)

    def _grow(self, _size: int) -> None:
        with self._changed:
            self._changed.notify_all()

    def _publish(self, upload: Upload, content: Content) -> None:
        """Make the content a blob, and a reference of the manifests that await it."""
        repository, room = self._lock_repository()
        if sessions.close(upload, repository.pk, content):
            blobs.publish(repository, content, room)


def _cancel(upload: Upload) -> None:
    """End a session, unless another process has; what fails here, the collector does."""
    with contextlib.suppress(RegistryError, Error):
        sessions.cancel(upload)


def session_of(name: str, digest: Digest) -> uuid.UUID:
    """Return the id of the session by which one process at a time fetches the blob."""
    return uuid.uuid5(_NAMESPACE, f"{name} {digest}")


def join(name: RepositoryName, digest: Digest, ask: Ask, wanted_by: str) -> Fetch:
    """Return the running fetch of the blob, or start one. Raises UNAVAILABLE when too many run.

    Raises TOOMANYREQUESTS when too many of them were started by `wanted_by`, an account or a network.
    """
    key = (name, str(digest))
    with _lock:
        found = _running.get(key)
        if found is not None:
            return found
        if len(_running) >= MAX_FETCHES:
            raise unavailable("too many blobs are being fetched from upstreams", 5)
        own = sum(fetch.wanted_by == wanted_by for fetch in _running.values())
        if own >= max(SHARE, MAX_FETCHES - len(_running)):
            message = f"{own} blobs are being fetched from upstreams for this account or network; try again in 5 s"
            raise RegistryError(ErrorCode.TOOMANYREQUESTS, message, headers={"Retry-After": "5"}, message=message)
        _running[key] = fetch = Fetch(name, digest, ask, wanted_by=wanted_by)
    try:
        fetch.start()
    except BaseException:
        with _lock:
            _running.pop(key, None)
        raise
    return fetch


def _forget_after_fork() -> None:
    """Threads are not inherited, nor is a lock that one of them had."""
    global _lock  # noqa: PLW0603 - one a process
    _lock = threading.Lock()
    _running.clear()


os.register_at_fork(after_in_child=_forget_after_fork)
