"""One bucket of S3: its verbs, by a client that all threads share; every fault is translated.

A key is never written twice: `If-None-Match: *`, or a look before where the server does not know that condition.
"""

import base64
import logging
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any

from botocore.exceptions import ClientError

from core.failpoints import failpoint
from distribution.storage.cloud import CloudError, KeyTakenError, Span
from distribution.storage.part_buffer import Part
from distribution.storage.s3_faults import asking, code_of, status_of

logger = logging.getLogger(__name__)

# In the metadata of an object: which write made it. A retry whose first attempt succeeded finds its own object.
_WRITE = "registry-write"
# Endpoint and bucket of servers that do not know If-None-Match.
_without_conditions: set[tuple[str | None, str]] = set()


class Bucket:
    """A bucket, asked by `client`; every method raises CloudError."""

    def __init__(self, client: Any, name: str, endpoint: str | None) -> None:
        self.client, self.name, self.endpoint = client, name, endpoint

    def asked(self, key: str = "") -> AbstractContextManager[None]:
        """Translate faults in the block, which waits for S3. Raises FileNotFoundError, KeyTakenError for `key`."""
        return asking(self.name, self.endpoint, key)

    def head(self, key: str) -> Any:
        """Return what S3 says about the object. Raises FileNotFoundError."""
        with self.asked(key):
            return self.client.head_object(Bucket=self.name, Key=key)

    def put(self, key: str, content: Part, options: Mapping[str, Any]) -> None:
        """Store an object in one request. Raises KeyTakenError."""
        written = _Written(options)
        body = {"Body": content.body, "ChecksumCRC32": _crc32(content)}
        failpoint("upload.write")
        self.create(self.client.put_object, key, written.nonce, **written.options, **body)
        failpoint("upload.after_write")

    def copy(self, key: str, bucket: str, source: str, options: Mapping[str, Any]) -> None:
        """Copy an object of another bucket inside S3, to a key that has none. Raises FileNotFoundError."""
        named = {"Bucket": self.name, "Key": key, "CopySource": {"Bucket": bucket, "Key": source}}
        with self.asked(source):
            self.client.copy_object(**named, MetadataDirective="REPLACE", **options)

    def abort(self, key: str, upload_id: str) -> None:
        """Abort a multipart upload."""
        with self.asked():
            self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload_id)

    def create(self, call: Callable[..., Any], key: str, nonce: str, **parameters: Any) -> None:
        """Make the object by `call`, unless the key has one. Raises KeyTakenError."""
        named = {"Bucket": self.name, "Key": key, **parameters}
        if (self.endpoint, self.name) not in _without_conditions:
            try:
                with self.asked(key):
                    call(**named, IfNoneMatch="*")
            except (KeyTakenError, CloudError) as error:
                if self._is_written(key, nonce, error):
                    return
                if not is_unsupported(error):
                    raise
            else:
                return
            _without_conditions.add((self.endpoint, self.name))
            logger.warning("S3 does not know If-None-Match: a HEAD before each write looks for an object instead")
        with suppress(FileNotFoundError):
            self.head(key)
            raise KeyTakenError(f"the key {key} has an object already")
        try:
            with self.asked(key):
                call(**named)
        except CloudError as error:
            if not self._is_written(key, nonce, error):
                raise

    def _is_written(self, key: str, nonce: str, error: Exception) -> bool:
        """Tell whether an attempt whose answer was lost has made the object."""
        if not isinstance(error, KeyTakenError) and _code(error) != "NoSuchUpload":
            return False
        with suppress(FileNotFoundError):
            return bool(self.head(key).get("Metadata", {}).get(_WRITE) == nonce)
        return False


class Multipart:
    """A multipart upload: completed at the end of the block, aborted by any exception."""

    def __init__(self, bucket: Bucket, key: str, options: Mapping[str, Any]) -> None:
        self._bucket, self._key = bucket, key
        self._written = _Written(options)
        self._parts: list[dict[str, Any]] = []
        self._upload: dict[str, Any] = {}

    def __enter__(self) -> "Multipart":
        named = {"Bucket": self._bucket.name, "Key": self._key}
        with self._bucket.asked(self._key):
            made = self._bucket.client.create_multipart_upload(
                **named, ChecksumAlgorithm="CRC32", **self._written.options
            )
        self._upload = {**named, "UploadId": made["UploadId"]}
        failpoint("multipart.after_create")
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            self._abort()
            return
        failpoint("multipart.before_complete")
        try:
            complete, nonce = self._bucket.client.complete_multipart_upload, self._written.nonce
            parts = {"Parts": self._parts}
            upload_id = self._upload["UploadId"]
            self._bucket.create(complete, self._key, nonce, UploadId=upload_id, MultipartUpload=parts)
        except BaseException:
            self._abort()
            raise
        failpoint("multipart.after_complete")

    def add(self, part: Part) -> None:
        """Send the next part."""
        failpoint("upload.write")
        with self._bucket.asked(self._key):
            added = self._bucket.client.upload_part(
                **self._upload, PartNumber=len(self._parts) + 1, Body=part.body, ChecksumCRC32=_crc32(part)
            )
        failpoint("upload.after_write")
        self._count(added)

    def copy(self, span: Span, bucket: str = "") -> None:
        """Copy the next part from another object of `bucket`, by default the same one. Raises FileNotFoundError."""
        source = {"Bucket": bucket or self._bucket.name, "Key": span.key}
        part, reach = len(self._parts) + 1, f"bytes={span.first}-{span.end - 1}"
        with self._bucket.asked(span.key):
            copied = self._bucket.client.upload_part_copy(
                **self._upload, PartNumber=part, CopySource=source, CopySourceRange=reach
            )
        self._count(copied["CopyPartResult"])

    def _count(self, answer: Mapping[str, Any]) -> None:
        part = {"PartNumber": len(self._parts) + 1, "ETag": answer["ETag"]}
        # S3 itself wants it again; others do not return it.
        if "ChecksumCRC32" in answer:
            part["ChecksumCRC32"] = answer["ChecksumCRC32"]
        self._parts.append(part)
        failpoint("multipart.after_part")

    def _abort(self) -> None:
        try:
            self._bucket.abort(self._key, self._upload["UploadId"])
        except CloudError as error:
            if _code(error) != "NoSuchUpload":
                logger.warning(
                    "an unfinished write stays in S3 until the collector aborts it",
                    extra={"key": self._key},
                    exc_info=True,
                )


class _Written:
    """The options of a write, with a nonce in the metadata."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.nonce = uuid.uuid4().hex
        self.options = {**options, "Metadata": {**options.get("Metadata", {}), _WRITE: self.nonce}}


def is_unsupported(error: Exception) -> bool:
    """Tell whether the server does not know what it was asked for."""
    cause = error.__cause__
    return isinstance(cause, ClientError) and (code_of(cause) == "NotImplemented" or status_of(cause) == 501)


def _code(error: Exception) -> str:
    return code_of(error.__cause__) if isinstance(error.__cause__, ClientError) else ""


def _crc32(part: Part) -> str:
    return base64.b64encode(part.crc32.to_bytes(4)).decode()
