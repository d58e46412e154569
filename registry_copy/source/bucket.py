"""A tree in a bucket of S3, at the endpoint and with the credentials of the registry's own storage."""

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, cast

from distribution.protocol.digest import Digest
from distribution.storage.cloud import CloudError
from distribution.storage.s3 import ObjectStream, RegistryS3Storage
from distribution.storage.s3_bucket import Bucket
from distribution.storage.s3_faults import BEHIND_END
from registry_copy.errors import LeftOutError
from registry_copy.source.files import Files, Found


class BucketFiles(Files):
    """Objects below `prefix`; S3 itself copies them into the storage, so that no byte passes through here."""

    is_slow, hashes = True, False

    def __init__(self, storage: RegistryS3Storage, bucket: str, prefix: str, moved: Callable[[int], None]) -> None:
        self.where = f"s3://{bucket}/{prefix}".rstrip("/")
        self._storage, self._name, self._moved = storage, bucket, moved
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def _bucket(self) -> Bucket:
        own = self._storage.bucket
        return Bucket(own.client, self._name, own.endpoint)

    def folders(self, path: str) -> Iterator[str]:
        bucket, prefix = self._bucket, f"{self._prefix}{path}/"
        lister = bucket.client.get_paginator("list_objects_v2")
        pages = iter(lister.paginate(Bucket=self._name, Prefix=prefix, Delimiter="/"))
        while True:
            with bucket.asked():
                page: dict[str, Any] | None = next(pages, None)
            if page is None:
                return
            yield from (one["Prefix"][len(prefix) : -1] for one in page.get("CommonPrefixes", ()))

    def read(self, path: str, limit: int) -> Found | None:
        key = f"{self._prefix}{path}"
        try:
            found = self._get(key, Range=f"bytes=0-{limit - 1}")
        except FileNotFoundError:
            return None
        except CloudError as error:
            if error.state != BEHIND_END:
                raise
            # An empty object has no first byte.
            return Found(b"", self._bucket.head(key)["LastModified"])
        content = bytearray()
        with self._stream(found) as file:
            while chunk := file.read(limit):
                content += chunk
        return Found(bytes(content), found["LastModified"])

    def size(self, path: str) -> int | None:
        try:
            return int(self._bucket.head(f"{self._prefix}{path}")["ContentLength"])
        except FileNotFoundError:
            return None

    def open(self, path: str) -> IO[bytes]:
        return self._stream(self._get(f"{self._prefix}{path}"))

    def take(self, path: str, digest: Digest, size: int, key: str) -> None:
        try:
            self._storage.copy_from(self._name, f"{self._prefix}{path}", size, key)
        except FileNotFoundError as error:
            raise LeftOutError("its bytes are missing") from error
        self._moved(size)

    def sync(self, keys: Iterable[str]) -> None:
        """Do nothing: S3 has stored what it has answered for."""

    def remove(self, path: str) -> None:
        bucket = self._bucket
        with bucket.asked():
            bucket.client.delete_object(Bucket=self._name, Key=f"{self._prefix}{path}")

    def _get(self, key: str, **wanted: str) -> Any:
        bucket = self._bucket
        with bucket.asked(key):
            return bucket.client.get_object(Bucket=self._name, Key=key, **wanted)

    def _stream(self, found: Any) -> IO[bytes]:
        return cast("IO[bytes]", ObjectStream(found["Body"], self._bucket.asked))
