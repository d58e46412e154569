"""What the storage in S3 does beyond the contract of all storages."""

import io
import logging
import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from distribution.storage import s3_bucket, trash
from distribution.storage.blob_store import BlobStore, KeyTakenError, MissingObjectError, new_key
from distribution.storage.cloud import CloudError, Piece
from distribution.storage.s3 import RegistryS3Storage
from distribution.storage.s3_parts import MIN_PART_BYTES, PART_BYTES
from tests.s3.refusing import refusing
from tests.s3.servers import READER_KEY, READER_SECRET, S3Server

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def bucket(seaweedfs: S3Server) -> str:
    """Return a bucket for the tests of this file, which use keys of their own."""
    return seaweedfs.make_bucket("storage")


@pytest.fixture
def s3(seaweedfs: S3Server, bucket: str) -> RegistryS3Storage:
    """Return a storage of its own."""
    return RegistryS3Storage(**seaweedfs.options(bucket))


@pytest.fixture
def store(s3: RegistryS3Storage) -> BlobStore:
    """Return the store of that storage."""
    return BlobStore(s3)


class Interrupted(io.BytesIO):
    """Is interrupted by the operator after its bytes."""

    def readinto(self, view: memoryview, /) -> int:  # type: ignore[override]
        if self.tell() == len(self.getbuffer()):
            raise KeyboardInterrupt
        return super().readinto(view)


@pytest.fixture
def calls(s3: RegistryS3Storage) -> list[str]:
    """Return the names of the operations that the client was asked for, from now on."""
    made: list[str] = []
    s3.bucket.client.meta.events.register("before-call.s3", lambda model, **_more: made.append(model.name))
    return made


def written(store: BlobStore, *sizes: int) -> tuple[list[Piece], bytes]:
    """Write objects of these sizes, and return them with their bytes."""
    pieces, content = [Piece(new_key(), size) for size in sizes], b""
    for piece in pieces:
        payload = os.urandom(piece.size)
        store.write(piece.key, io.BytesIO(payload))
        content += payload
    return pieces, content


def no_step() -> None:
    """Let a join go on."""


# --- writing -------------------------------------------------------------------------------------
def test_a_small_object_is_one_request_with_its_length(store: BlobStore, calls: list[str]) -> None:
    store.write(new_key(), io.BytesIO(bytes(MIB)))

    assert calls == ["PutObject"]


def test_an_interrupted_write_leaves_no_part(store: BlobStore, seaweedfs: S3Server, bucket: str) -> None:
    key = new_key()

    with pytest.raises(KeyboardInterrupt):
        store.write(key, Interrupted(bytes(PART_BYTES + 1)))

    assert key not in seaweedfs.unfinished(bucket)
    assert key not in seaweedfs.keys(bucket)


@pytest.mark.parametrize("size", [1, PART_BYTES + 1])
def test_a_write_whose_answer_was_lost_finds_its_own_object(
    s3: RegistryS3Storage, store: BlobStore, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    client, key = s3.bucket.client, new_key()
    name = "put_object" if size < PART_BYTES else "complete_multipart_upload"
    call = getattr(client, name)

    def repeat(**parameters: Any) -> Any:
        call(**parameters)
        return call(**parameters)

    monkeypatch.setattr(client, name, repeat)

    store.write(key, io.BytesIO(bytes(size)))

    assert store.size(key) == size


@pytest.mark.parametrize("size", [1, PART_BYTES + 1])
def test_a_server_without_conditions_is_asked_before_each_write(
    s3: RegistryS3Storage,
    store: BlobStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    size: int,
) -> None:
    client = s3.bucket.client
    for name in ("put_object", "complete_multipart_upload"):
        monkeypatch.setattr(client, name, without_conditions(getattr(client, name)))
    monkeypatch.setattr(s3_bucket, "_without_conditions", set())
    key = new_key()

    with caplog.at_level(logging.WARNING):
        store.write(key, io.BytesIO(bytes(size)))
        with pytest.raises(KeyTakenError):
            store.write(key, io.BytesIO(b"other"))
        store.write(new_key(), io.BytesIO(b"another key"))

    assert store.size(key) == size
    assert [record.message for record in caplog.records if "If-None-Match" in record.message] == [
        "S3 does not know If-None-Match: a HEAD before each write looks for an object instead"
    ]


def test_a_lost_answer_of_a_server_without_conditions_is_no_failure(
    s3: RegistryS3Storage, store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, key = s3.bucket.client, new_key()
    monkeypatch.setattr(s3_bucket, "_without_conditions", {(s3.endpoint_url, s3.bucket_name)})
    complete = client.complete_multipart_upload

    def repeat(**parameters: Any) -> Any:
        complete(**parameters)
        raise ClientError({"Error": {"Code": "NoSuchUpload"}, "ResponseMetadata": {"HTTPStatusCode": 404}}, "Complete")

    monkeypatch.setattr(client, "complete_multipart_upload", repeat)

    store.write(key, io.BytesIO(bytes(PART_BYTES + 1)))

    assert store.size(key) == PART_BYTES + 1


def without_conditions(call: Any) -> Any:
    """Return the call as a server takes it that does not know If-None-Match."""

    def refuse(**parameters: Any) -> Any:
        if "IfNoneMatch" in parameters:
            answer: Any = {"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": 501}}
            raise ClientError(answer, "PutObject")
        return call(**parameters)

    return refuse


def test_bytes_that_change_on_their_way_are_refused(
    s3: RegistryS3Storage, store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    monkeypatch.setattr(s3_bucket, "_crc32", lambda _payload: "AAAAAA==")

    for size in (1, PART_BYTES + 1):
        with pytest.raises(CloudError, match="BadDigest"):
            store.write(key, io.BytesIO(b"x" * size))

    assert not s3.exists(key)


# --- joining -------------------------------------------------------------------------------------
def test_large_objects_are_joined_without_being_read(store: BlobStore, calls: list[str]) -> None:
    pieces, content = written(store, MIN_PART_BYTES, 9 * MIB, 3)
    key = new_key()
    calls.clear()

    assert store.join(pieces, key, no_step)

    assert calls == ["CreateMultipartUpload", *["UploadPartCopy"] * 3, "CompleteMultipartUpload"]
    with store.open_at(key) as file:
        assert file.read() == content


def test_small_objects_are_merged_on_their_way(store: BlobStore, calls: list[str]) -> None:
    pieces, content = written(store, 1, 2 * MIB, 20 * MIB, 1)
    key = new_key()
    calls.clear()

    assert store.join(pieces, key, no_step)

    assert (calls.count("UploadPart"), calls.count("UploadPartCopy")) == (1, 2)
    with store.open_at(key) as file:
        assert file.read() == content


def test_a_join_never_overwrites(store: BlobStore) -> None:
    pieces, _ = written(store, MIN_PART_BYTES, 1)

    with pytest.raises(KeyTakenError):
        store.join(pieces, pieces[1].key, no_step)

    assert store.size(pieces[1].key) == 1


def test_a_join_of_a_missing_object_leaves_nothing(store: BlobStore, seaweedfs: S3Server, bucket: str) -> None:
    pieces, _ = written(store, MIN_PART_BYTES)
    key = new_key()

    with pytest.raises(MissingObjectError):
        store.join([*pieces, Piece(new_key(), MIN_PART_BYTES)], key, no_step)

    assert key not in seaweedfs.unfinished(bucket)
    assert key not in seaweedfs.keys(bucket)


def test_a_join_that_is_stopped_leaves_nothing(store: BlobStore, seaweedfs: S3Server, bucket: str) -> None:
    pieces, _ = written(store, MIN_PART_BYTES, MIN_PART_BYTES)
    key, steps = new_key(), iter([None])

    with pytest.raises(StopIteration):
        store.join(pieces, key, lambda: next(steps))

    assert key not in seaweedfs.unfinished(bucket)
    assert key not in seaweedfs.keys(bucket)


def test_a_server_that_does_not_copy_parts_joins_nothing(
    s3: RegistryS3Storage, store: BlobStore, monkeypatch: pytest.MonkeyPatch, seaweedfs: S3Server, bucket: str
) -> None:
    pieces, _ = written(store, MIN_PART_BYTES, MIN_PART_BYTES)

    def refuse(**_parameters: Any) -> None:
        answer: Any = {"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": 501}}
        raise ClientError(answer, "UploadPartCopy")

    monkeypatch.setattr(s3.bucket.client, "upload_part_copy", refuse)
    key = new_key()

    assert not store.join(pieces, key, no_step)
    assert key not in seaweedfs.unfinished(bucket)


# --- reading -------------------------------------------------------------------------------------
@pytest.mark.parametrize(("offset", "size"), [(0, 3), (2, 2), (9, 5), (10, 1), (3, 0)])
def test_a_range_is_read(store: BlobStore, offset: int, size: int) -> None:
    key = new_key()
    store.write(key, io.BytesIO(b"0123456789"))

    with store.open_at(key, offset, size) as file:
        assert file.read() == b"0123456789"[offset : offset + size]


def test_a_url_is_for_reading_one_object_for_less_time_than_the_trash_keeps_it(
    s3: RegistryS3Storage, store: BlobStore
) -> None:
    key = new_key()
    store.write(key, io.BytesIO(b"bytes"))
    url = store.redirect_url(key)
    assert url is not None

    with urlopen(url, timeout=60) as answer:
        assert answer.read() == b"bytes"
    with pytest.raises(HTTPError):
        urlopen(Request(url, data=b"other", method="PUT"), timeout=60)
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert timedelta(seconds=int(query["X-Amz-Expires"][0])) < trash.DELAY


def test_clients_may_reach_s3_by_another_address(seaweedfs: S3Server, bucket: str) -> None:
    store = BlobStore(RegistryS3Storage(**seaweedfs.options(bucket), public_endpoint="https://s3.example.org"))

    url = urlsplit(store.redirect_url("objects/ab/abc") or "")

    assert (url.scheme, url.netloc, url.path) == ("https", "s3.example.org", f"/{bucket}/objects/ab/abc")


def test_without_redirects_there_is_no_url(seaweedfs: S3Server, bucket: str) -> None:
    store = BlobStore(RegistryS3Storage(**seaweedfs.options(bucket), redirect=False))

    assert store.redirect_url(new_key()) is None


def test_a_distribution_of_cloudfront_has_urls_signed_by_its_key(seaweedfs: S3Server, bucket: str) -> None:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    cdn = {"custom_domain": "cdn.example.org", "cloudfront_key_id": "K2JCJMDEHXQW5F", "cloudfront_key": pem}
    store = BlobStore(RegistryS3Storage(**seaweedfs.options(bucket), **cdn))

    url = urlsplit(store.redirect_url("objects/ab/abc") or "")

    assert (url.scheme, url.netloc, url.path) == ("https", "cdn.example.org", "/objects/ab/abc")
    assert set(parse_qs(url.query)) == {"Expires", "Signature", "Key-Pair-Id"}


# --- unfinished writes ---------------------------------------------------------------------------
def test_old_unfinished_writes_of_this_registry_are_found_and_aborted(seaweedfs: S3Server) -> None:
    bucket = seaweedfs.make_bucket(f"unfinished-{uuid.uuid4().hex}")
    store = BlobStore(RegistryS3Storage(**seaweedfs.options(bucket), location="mine/"))
    own, foreign = f"mine/{new_key()}", f"yours/{new_key()}"
    for key in (own, foreign):
        seaweedfs.client.create_multipart_upload(Bucket=bucket, Key=key)

    assert list(store.unfinished_writes(timedelta(days=1))) == []
    (write,) = store.unfinished_writes(timedelta(0))
    write.abort()

    assert f"mine/{write.key}" == own
    assert abs(write.begun_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert seaweedfs.unfinished(bucket) == [foreign]


def test_a_server_that_lists_no_unfinished_writes_has_none(caplog: pytest.LogCaptureFixture) -> None:
    with refusing(501, "NotImplemented") as endpoint:
        options = {"bucket_name": "any", "access_key": "a", "secret_key": "b", "region_name": "us-east-1"}
        store = BlobStore(RegistryS3Storage(endpoint_url=endpoint, **options))

        assert list(store.unfinished_writes(timedelta(0))) == []

    assert "only a lifecycle rule of the bucket" in caplog.text


# --- faults --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({"bucket_name": "nobody-made-it"}, "no bucket", "no bucket nobody-made-it"),
        ({"access_key": "unknown"}, "refused", "access_key"),
        ({"secret_key": "wrong"}, "refused", "secret_key"),
        ({"access_key": READER_KEY, "secret_key": READER_SECRET}, "refused", "permissions"),
        ({"endpoint_url": "http://127.0.0.1:1"}, "no answer", "http://127.0.0.1:1"),
        ({"object_parameters": {"Storage": "cold"}}, "failed", "storage.s3"),
    ],
)
def test_a_fault_has_a_reason(
    seaweedfs: S3Server, bucket: str, changes: dict[str, Any], state: str, words: str
) -> None:
    store = BlobStore(RegistryS3Storage(**seaweedfs.options(bucket) | changes))

    with pytest.raises(CloudError, match=words) as raised:
        store.try_writing()

    assert raised.value.state == state
    assert "registry-secret" not in str(raised.value)


def test_missing_credentials_have_a_reason(
    seaweedfs: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    store = BlobStore(RegistryS3Storage(**seaweedfs.options(bucket) | {"access_key": None, "secret_key": None}))

    with pytest.raises(CloudError, match=r"storage\.s3\.access_key") as raised:
        store.try_writing()

    assert raised.value.state == "no credentials"


@pytest.mark.parametrize(
    ("status", "code", "state", "words"),
    [
        (403, "RequestTimeTooSkewed", "clock skew", "clock of this machine"),
        (400, "AuthorizationHeaderMalformed", "wrong region", "storage.s3.region_name"),
        (507, "XMinioStorageFull", "full", "no space left"),
        (403, "QuotaExceeded", "full", "quota"),
        (403, "AccessDenied", "refused", "403"),
        (404, "NoSuchBucket", "no bucket", "create it"),
        (503, "SlowDown", "busy", "busy"),
        (418, "Teapot", "failed", "Teapot"),
    ],
)
def test_an_error_of_s3_has_a_reason(status: int, code: str, state: str, words: str) -> None:
    with refusing(status, code) as endpoint:
        options = {"bucket_name": "b", "access_key": "a", "secret_key": "s", "region_name": "us-east-1"}
        store = BlobStore(RegistryS3Storage(**options, endpoint_url=endpoint))

        with pytest.raises(CloudError, match=words) as raised:
            store.write(new_key(), io.BytesIO(b"bytes"))

    assert raised.value.state == state
