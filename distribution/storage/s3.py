"""Blobs in Amazon S3 and what speaks its protocol, as django-storages configures it.

less than 8 MiB   one PutObject with its length and a CRC
more              one part after the other, each filled before it is sent; aborted by any exception
"""

import io
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import IO, Any, cast

from botocore.config import Config
from django.conf import settings
from storages.backends.s3 import S3Storage

from core.failpoints import failpoint
from distribution.storage.circuit_breaker import CircuitBreaker
from distribution.storage.cloud import CloudError, CloudStorage, Piece, Span, UnfinishedWrite
from distribution.storage.part_buffer import Part, PartBuffer, fill, part_of
from distribution.storage.s3_bucket import Bucket, Multipart, is_unsupported
from distribution.storage.s3_faults import BEHIND_END
from distribution.storage.s3_parts import MAX_COPY_BYTES, MAX_PARTS, PART_BYTES, joined_parts, part_size

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5
READ_SECONDS = 30
ATTEMPTS = 3
# Connections that stay open; threads beyond make their own.
KEPT_CONNECTIONS = 64
# Shorter than an object stays in the trash.
URL_SECONDS = 600


class ObjectStream(io.RawIOBase):
    """The bytes of an object, as they arrive."""

    def __init__(self, body: Any, asked: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__()
        self._body, self._asked = body, asked

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any, /) -> int:
        """Put the next bytes into `view`. Raises CloudError, also when the object ends too early."""
        with self._asked():
            return int(self._body.readinto(view))

    def close(self) -> None:
        if not self.closed:
            self._body.close()
        super().close()


class RegistryS3Storage(CloudStorage, S3Storage):  # type: ignore[misc]  # django-storages has no types
    """S3Storage that streams, never overwrites a key, and keeps one client for all threads of a process."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._clients: dict[tuple[int, str | None], Any] = {}
        self._lock = threading.Lock()

    def get_default_settings(self) -> dict[str, Any]:
        """Return the options with their defaults: those of S3Storage, and two of the registry."""
        ours = {"public_endpoint": None, "redirect": True, "querystring_expire": URL_SECONDS}
        return {**super().get_default_settings(), **ours}

    @property
    def bucket(self) -> Bucket:
        """Return the bucket, as this process asks it."""
        return Bucket(self._client(self.endpoint_url), self.bucket_name, self.endpoint_url)

    def _client(self, endpoint: str | None) -> Any:
        """Return the client of this process: a fork must not share its connections. Raises CloudError."""
        key = (os.getpid(), endpoint)
        client = self._clients.get(key)
        if client is not None:
            return client
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._new_client(endpoint)
            return self._clients[key]

    def _new_client(self, endpoint: str | None) -> Any:
        s3 = {"addressing_style": self.addressing_style}
        if (endpoint or "https:").startswith("https:"):
            # TLS and the CRC guard the bytes: without another hash over them.
            s3["payload_signing_enabled"] = False
        config = Config(
            s3=s3,
            # Otherwise some regions sign URLs by an older method.
            signature_version=self.signature_version or "s3v4",
            proxies=self.proxies,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=KEPT_CONNECTIONS,
            # The writes have a CRC of their own; readers compare the digest.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with Bucket(None, self.bucket_name, endpoint).asked():
            client = self._create_session().client(
                "s3",
                region_name=self.region_name,
                use_ssl=self.use_ssl,
                endpoint_url=endpoint,
                verify=self.verify,
                config=config,
            )
        server = settings.REGISTRY.server
        # So many wait without a slot; of the threads that have one, half are left.
        CircuitBreaker(server.max_slow_clients + server.threads // 2).watch(client)
        return client

    def _key(self, name: str) -> str:
        return str(self._normalize_name(name))

    # --- writing ---------------------------------------------------------------------------------
    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        """Store every byte of `content` under a new key. Raises KeyTakenError, CloudError, what the reader raises."""
        if name is None:
            raise ValueError("an object has a key")
        key, options = self._key(name), self._get_write_parameters(name)
        with PartBuffer() as buffer:
            part = buffer.fill(content, PART_BYTES)
            if part.size < PART_BYTES:
                self.bucket.put(key, part, options)
            else:
                self._save_parts(key, options, part, lambda sent: buffer.fill(content, part_size(sent)))
        failpoint("upload.after_fsync")
        return name

    def _save_parts(self, key: str, options: dict[str, Any], part: Part, next_part: Callable[[int], Part]) -> None:
        with Multipart(self.bucket, key, options) as upload:
            sent = 0
            while part.size:
                upload.add(part)
                sent += part.size
                part = next_part(sent)

    def join(self, pieces: list[Piece], name: str, on_step: Callable[[], None]) -> bool:
        """Join objects by copies inside S3; only those below 5 MiB pass through here."""
        parts = list(joined_parts([Piece(self._key(piece.key), piece.size) for piece in pieces]))
        if len(parts) > MAX_PARTS:
            return False
        try:
            with Multipart(self.bucket, self._key(name), self._get_write_parameters(name)) as upload:
                for spans in parts:
                    on_step()
                    if len(spans) == 1:
                        upload.copy(spans[0])
                    else:
                        upload.add(part_of(self._bytes_of(spans)))
        except CloudError as error:
            if not is_unsupported(error):
                raise
            logger.warning("S3 does not join objects: chunks are copied through the registry", exc_info=error)
            return False
        return True

    def copy_from(self, bucket: str, source: str, size: int, name: str) -> None:
        """Copy an object of another bucket at the same endpoint under a new key. Raises FileNotFoundError."""
        key, options = self._key(name), self._get_write_parameters(name)
        if size <= MAX_COPY_BYTES:
            self.bucket.copy(key, bucket, source, options)
            return
        with Multipart(self.bucket, key, options) as upload:
            for (span,) in joined_parts([Piece(source, size)], MAX_COPY_BYTES):
                upload.copy(span, bucket)

    def _bytes_of(self, spans: list[Span]) -> bytearray:
        payload = bytearray()
        for span in spans:
            with self._stream(span.key, span.first, span.size) as file:
                payload += fill(cast("Any", file), span.size, bytearray())
        if len(payload) != sum(span.size for span in spans):
            raise CloudError("failed", f"objects from {spans[0].key} on have lost some of their bytes")
        return payload

    def delete(self, name: str) -> None:
        """Delete the object, if it exists."""
        bucket = self.bucket
        with bucket.asked():
            bucket.client.delete_object(Bucket=bucket.name, Key=self._key(name))

    def unfinished_writes(self, age: timedelta) -> Iterator[UnfinishedWrite]:
        """Yield multipart uploads of our objects."""
        bucket, before, prefix = self.bucket, datetime.now(UTC) - age, self._prefix("objects")
        pages = bucket.client.get_paginator("list_multipart_uploads")
        try:
            with bucket.asked():
                found = list(pages.paginate(Bucket=bucket.name, Prefix=prefix))
        except CloudError as error:
            if not is_unsupported(error):
                raise
            logger.warning("S3 does not list unfinished writes: only a lifecycle rule of the bucket can abort them")
            return
        for upload in (upload for page in found for upload in page.get("Uploads", ())):
            if upload["Initiated"] <= before:
                abort = partial(bucket.abort, upload["Key"], upload["UploadId"])
                yield UnfinishedWrite(f"objects/{upload['Key'].removeprefix(prefix)}", upload["Initiated"], abort)

    # --- reading ---------------------------------------------------------------------------------
    def open_at(self, name: str, offset: int, size: int | None) -> IO[bytes]:
        """Return a stream of one ranged GetObject; empty behind the end, as that of a file."""
        return self._stream(self._key(name), offset, size)

    def _stream(self, key: str, offset: int, size: int | None) -> IO[bytes]:
        if size == 0:
            return io.BytesIO()
        bucket = self.bucket
        wanted: dict[str, str] = {}
        if offset or size is not None:
            wanted["Range"] = f"bytes={offset}-" + ("" if size is None else str(offset + size - 1))
        try:
            with bucket.asked(key):
                body = bucket.client.get_object(Bucket=bucket.name, Key=key, **wanted)["Body"]
        except CloudError as error:
            if error.state != BEHIND_END:
                raise
            return io.BytesIO()
        return cast("IO[bytes]", ObjectStream(body, bucket.asked))

    def _open(self, name: str, mode: str = "rb") -> IO[bytes]:
        return self.open_at(name, 0, None)

    def size(self, name: str) -> int:
        """Return the object's size. Raises FileNotFoundError."""
        return int(self.bucket.head(self._key(name))["ContentLength"])

    def exists(self, name: str) -> bool:
        """Tell whether there is an object."""
        try:
            self.bucket.head(self._key(name))
        except FileNotFoundError:
            return False
        return True

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the folders and objects in a folder."""
        prefix, found = self._listed(path)
        folders = [one["Prefix"][len(prefix) : -1] for page in found for one in page.get("CommonPrefixes", ())]
        names = [one["Key"][len(prefix) :] for page in found for one in page.get("Contents", ())]
        return folders, [name for name in names if name]

    def sizes(self, path: str) -> dict[str, int]:
        """Return the size of each object in a folder: one request for a thousand of them."""
        prefix, found = self._listed(path)
        return {one["Key"][len(prefix) :]: int(one["Size"]) for page in found for one in page.get("Contents", ())}

    def _listed(self, path: str) -> tuple[str, list[dict[str, Any]]]:
        """Return the prefix of a folder's keys, and the pages of its listing."""
        bucket, prefix = self.bucket, self._prefix(path)
        pages = bucket.client.get_paginator("list_objects_v2")
        with bucket.asked():
            return prefix, list(pages.paginate(Bucket=bucket.name, Prefix=prefix, Delimiter="/"))

    def has_objects(self) -> bool:
        """Return whether there is any object below `objects`."""
        bucket, prefix = self.bucket, self._prefix("objects")
        with bucket.asked():
            found = bucket.client.list_objects_v2(Bucket=bucket.name, Prefix=prefix, MaxKeys=1)
        return bool(found.get("Contents"))

    def _prefix(self, path: str) -> str:
        key = self._key(path).rstrip("/")
        return f"{key}/" if key else ""

    def probe(self) -> None:
        """Ask for the bucket."""
        bucket = self.bucket
        try:
            with bucket.asked():
                bucket.client.head_bucket(Bucket=bucket.name)
        except CloudError as error:
            # An answer to HEAD has no reason in it; that to GET has.
            if error.state != "no answer":
                self.has_objects()
            raise

    def redirect_url(self, name: str) -> str | None:
        """Return a signed URL that is valid for `querystring_expire` seconds."""
        if not self.redirect:
            return None
        if self.custom_domain:
            return str(self.url(name))
        client = self._client(self.public_endpoint or self.endpoint_url)
        wanted = {"Bucket": self.bucket_name, "Key": self._key(name)}
        with Bucket(client, self.bucket_name, self.endpoint_url).asked():
            return str(client.generate_presigned_url("get_object", wanted, ExpiresIn=self.querystring_expire))
