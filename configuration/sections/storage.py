"""The section `storage`: a folder, or a cloud with the options of its django-storages backend.

The keys are those of `get_default_settings` in django-storages 1.14 (`storages/backends/s3.py`, `gcloud.py`,
`azure_storage.py`), less those that a file can't hold or that would break the registry.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

from configuration.converters import boolean, duration, file_path, integer, plain, text
from configuration.element import Element, Refused
from configuration.section import Key, Section, Values, below
from configuration.sections.reserve import reserve, size
from configuration.values import Storage, StorageBackend

_TEXT = Key(text("a text", max_characters=4096))
_SECRET = Key(text("a text", max_characters=65536), is_secret=True)
_NUMBER = Key(integer(0, 2**40))
_BOOLEAN = Key(boolean)
_PLAIN = Key(plain)
_BACKENDS: tuple[StorageBackend, ...] = ("filesystem", "s3", "gcs", "azure")


def _refused(reason: str) -> Key:
    def convert(_element: Element) -> NoReturn:
        raise Refused(f"no such key: {reason}", "a key that is not supported")

    return Key(convert)


_COMPRESSED = _refused("compressed blobs would have other digests")
_OVERWRITES = _refused("the registry never writes a key twice")
_UNSIGNED = _refused("the URLs of private blobs are always signed")
_OBJECT = _refused("it is a Python object, which a file can't hold")


def _options(backend: StorageBackend) -> Callable[[Values, Element], Storage]:
    def build(values: Values, element: Element) -> Storage:
        return Storage(backend=backend, rootdirectory=element.reading.folder / "data", options=values)

    return build


def _filesystem(values: Values, element: Element) -> Storage:
    return Storage(rootdirectory=values.get("rootdirectory", element.reading.folder / "data"))


FILESYSTEM = Section({"rootdirectory": Key(file_path)}, _filesystem)

S3 = Section(
    {
        "bucket_name": Key(text("the name of a bucket"), required="the name of a bucket"),
        "region_name": _TEXT,
        "endpoint_url": _TEXT,
        "access_key": _SECRET,
        "secret_key": _SECRET,
        "security_token": _SECRET,
        "session_profile": _TEXT,
        "location": _TEXT,
        "addressing_style": _TEXT,
        "signature_version": _TEXT,
        "default_acl": _TEXT,
        "object_parameters": _PLAIN,
        "use_ssl": _BOOLEAN,
        "verify": _PLAIN,
        "proxies": _PLAIN,
        "custom_domain": _TEXT,
        "url_protocol": _TEXT,
        "cloudfront_key_id": _TEXT,
        "cloudfront_key": _SECRET,
        "querystring_expire": _NUMBER,
        "max_memory_size": _NUMBER,
        "use_threads": _BOOLEAN,
        "file_name_charset": _TEXT,
        "querystring_auth": _UNSIGNED,
        "gzip": _COMPRESSED,
        "gzip_content_types": _COMPRESSED,
        "file_overwrite": _OVERWRITES,
        "transfer_config": _OBJECT,
        "client_config": _OBJECT,
    },
    _options("s3"),
)

GCS = Section(
    {
        "bucket_name": Key(text("the name of a bucket"), required="the name of a bucket"),
        "project_id": _TEXT,
        "custom_endpoint": _TEXT,
        "location": _TEXT,
        "default_acl": _TEXT,
        "object_parameters": _PLAIN,
        "expiration": Key(duration(timedelta(seconds=1), "of at least 1s")),
        "max_memory_size": _NUMBER,
        "blob_chunk_size": _NUMBER,
        "iam_sign_blob": _BOOLEAN,
        "sa_email": _TEXT,
        "credentials": _refused("the variable GOOGLE_APPLICATION_CREDENTIALS names their file"),
        "querystring_auth": _UNSIGNED,
        "gzip": _COMPRESSED,
        "gzip_content_types": _COMPRESSED,
        "file_overwrite": _OVERWRITES,
    },
    _options("gcs"),
)

AZURE = Section(
    {
        "azure_container": Key(text("the name of a container"), required="the name of a container"),
        "account_name": _TEXT,
        "account_key": _SECRET,
        "sas_token": _SECRET,
        "connection_string": _SECRET,
        "endpoint_suffix": _TEXT,
        "custom_domain": _TEXT,
        "api_version": _TEXT,
        "azure_ssl": _BOOLEAN,
        "location": _TEXT,
        "object_parameters": _PLAIN,
        "cache_control": _TEXT,
        "default_content_type": _TEXT,
        "upload_max_conn": _NUMBER,
        "timeout": _NUMBER,
        "max_memory_size": _NUMBER,
        "expiration_secs": _NUMBER,
        "client_options": _PLAIN,
        "overwrite_files": _OVERWRITES,
        "token_credential": _OBJECT,
    },
    _options("azure"),
)

SECRET_OPTIONS = frozenset(name for cloud in (S3, GCS, AZURE) for name, key in cloud.keys.items() if key.is_secret)


def _check(values: Values, element: Element) -> None:
    chosen = [name for name in values if name in _BACKENDS]
    if len(chosen) != 1:
        element.report(f"one of {', '.join(_BACKENDS)}", " and ".join(chosen) or "none of them")
    elif "min_free" in values and chosen != ["filesystem"]:
        below(element, "min_free").warn(f"for a SQLite database only: {chosen[0]} has no disk to keep free")


def _build(values: Values, _element: Element) -> Storage:
    (storage,) = (value for name, value in values.items() if name in _BACKENDS)
    others = {name: value for name, value in values.items() if name not in _BACKENDS}
    built: Storage = replace(storage, **others)
    return built


STORAGE = Section(
    {
        "filesystem": Key(FILESYSTEM),
        "s3": Key(S3),
        "gcs": Key(GCS),
        "azure": Key(AZURE),
        "min_free": Key(reserve),
        "max_blob_size": Key(size),
        "scrub": Key(duration(timedelta(hours=1), "of at least 1h")),
    },
    _build,
    _check,
)
