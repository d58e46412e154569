"""Faults of S3: the exceptions of its client as sentences for the operator."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError

from core.blocking import blocking_io
from core.metrics.catalog import STORAGE_SECONDS
from distribution.storage.circuit_breaker import NO_ANSWER, NotSentError
from distribution.storage.cloud import FULL, CloudError, KeyTakenError

# The state of a read behind the end of an object.
BEHIND_END = "too short"

_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.ProfileNotFound,
)

# The first that fits.
_NO_ANSWERS = (
    (exceptions.SSLError, "no secure connection to {}"),
    (NO_ANSWER, "no answer from {}"),
    (NotSentError, "{} is not asked"),
)

_REGION = ("wrong region", "the bucket {bucket} is in another region: set storage.s3.region_name")
_CLOCK = ("clock skew", "the clock of this machine differs too much from that of S3: set it by NTP")
_FULL = (FULL, "S3 has no space left, or a quota is used up")
_BUSY = ("busy", "S3 answers that it is busy")
_BUCKET = ("no bucket", "there is no bucket {bucket}: create it, or correct storage.s3.bucket_name")
_KEY = ("refused", "S3 does not know storage.s3.access_key")
_SECRET = ("refused", "S3 refuses the signature: is storage.s3.secret_key right?")
_REFUSED = ("refused", "S3 refuses access to the bucket {bucket} (403): docs/storage.md lists the permissions")

# By error code, or by status where an answer to HEAD has no code.
_REASONS: Mapping[str, tuple[str, str]] = {
    "NoSuchBucket": _BUCKET,
    "NoSuchUpload": ("failed", "S3 has no such unfinished write any more"),
    "InvalidRange": (BEHIND_END, "the object is shorter than asked for"),
    "416": (BEHIND_END, "the object is shorter than asked for"),
    "InvalidAccessKeyId": _KEY,
    "InvalidToken": ("refused", "S3 refuses storage.s3.security_token"),
    "ExpiredToken": ("refused", "the credentials for S3 have expired"),
    "SignatureDoesNotMatch": _SECRET,
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AccessDenied": _REFUSED,
    "AllAccessDisabled": _REFUSED,
    "AccountProblem": _REFUSED,
    "XMinioStorageFull": _FULL,
    "XMinioAdminBucketQuotaExceeded": _FULL,
    "XMinioBackendDown": _BUSY,
    "InsufficientStorage": _FULL,
    "InsufficientCapacity": _FULL,
    "QuotaExceeded": _FULL,
    "StorageFull": _FULL,
    "SlowDown": _BUSY,
    "ServiceUnavailable": _BUSY,
    "301": _REGION,
    "307": _REGION,
    "403": _REFUSED,
    "503": _BUSY,
    "507": _FULL,
}


def code_of(error: ClientError) -> str:
    """Return the error code of S3; for an answer to HEAD, the status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the answer, 0 without one."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def asking(bucket: str, endpoint: str | None, key: str = "") -> Iterator[None]:
    """Wait for S3 in the block, and translate the exceptions of its client.

    Raises FileNotFoundError when S3 has no object under `key`, KeyTakenError when it has one that would be overwritten,
    CloudError for everything else.
    """
    try:
        with blocking_io(), STORAGE_SECONDS.labels("request").time():
            yield
    except ClientError as error:
        code, status = code_of(error), status_of(error)
        if key and status == 404 and code not in ("NoSuchBucket", "NoSuchUpload"):
            raise FileNotFoundError(key) from error
        if code in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise KeyTakenError(f"the key {key} has an object already") from error
        raise _refusal(error, bucket) from error
    except BotoCoreError as error:
        raise _failure(error, endpoint or "S3") from error


def _refusal(error: ClientError, bucket: str) -> CloudError:
    code, status = code_of(error), status_of(error)
    reason = _REASONS.get(code) or _REASONS.get(str(status))
    if reason is None and status == 404:
        reason = _BUCKET
    state, sentence = reason or ("failed", "S3 refused the request")
    told = "" if code.isdigit() else f" ({error.operation_name}: {code or status})"
    return CloudError(state, sentence.format(bucket=bucket) + told)


def _failure(error: Any, endpoint: str) -> CloudError:
    if isinstance(error, _CREDENTIALS):
        told = f"no credentials for S3: set storage.s3.access_key and secret_key ({error})"
        return CloudError("no credentials", told)
    if isinstance(error, exceptions.NoRegionError):
        return CloudError("no region", "no region for S3: set storage.s3.region_name")
    if isinstance(error, exceptions.ParamValidationError):
        return CloudError("failed", f"a value below storage.s3 is not what S3 takes: {error}")
    for kinds, sentence in _NO_ANSWERS:
        if isinstance(error, kinds):
            return CloudError("no answer", f"{sentence.format(endpoint)}: {error}")
    return CloudError("failed", f"the client of S3 failed: {error}")
