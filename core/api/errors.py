"""The error table of `/v2/`, and the exception that carries one of its rows.

The exceptions that a view may meet:

    Exception
     ├─ RegistryError                the client's error: a code of the table, a detail, headers
     └─ ValueError
         ├─ acl.names.InvalidNameError      a repository name outside its grammar   (→ NAME_INVALID)
         └─ acl.glob.InvalidPatternError    a malformed pattern of a rule           (→ form or start error)

`RegistryError` has no subclasses: errors differ in data, so the table below is data too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, unique
from typing import Self

QUOTED_MAX_CHARACTERS = 100


@unique
class ErrorCode(Enum):
    """The codes a client may see, each with its HTTP status and message.

    Source: OCI Distribution Specification v1.1, "Error Codes", and the Docker registry v2 document for
    UNKNOWN, UNAVAILABLE, RANGE_INVALID, TAG_INVALID and PAGINATION_NUMBER_INVALID. The last four belong to the token
    endpoint, and to no specification.
    """

    UNKNOWN = (500, "unknown error")
    UNSUPPORTED = (405, "the operation is unsupported")
    UNAUTHORIZED = (401, "authentication required")
    DENIED = (403, "requested access to the resource is denied")
    UNAVAILABLE = (503, "service unavailable")
    TOOMANYREQUESTS = (429, "too many requests")
    DIGEST_INVALID = (400, "provided digest did not match uploaded content")
    SIZE_INVALID = (400, "provided length did not match content length")
    RANGE_INVALID = (416, "invalid content range")
    NAME_INVALID = (400, "invalid repository name")
    TAG_INVALID = (400, "manifest tag did not match its grammar")
    NAME_UNKNOWN = (404, "repository name not known to registry")
    MANIFEST_UNKNOWN = (404, "manifest unknown to registry")
    MANIFEST_INVALID = (400, "manifest invalid")
    MANIFEST_BLOB_UNKNOWN = (400, "manifest references a manifest or blob unknown to registry")
    BLOB_UNKNOWN = (404, "blob unknown to registry")
    BLOB_UPLOAD_UNKNOWN = (404, "blob upload unknown to registry")
    BLOB_UPLOAD_INVALID = (400, "blob upload invalid")
    PAGINATION_NUMBER_INVALID = (400, "invalid number of results requested")
    TOKEN_REQUEST_INVALID = (400, "invalid token request")
    SCOPE_INVALID = (400, "invalid scope")
    SERVICE_INVALID = (400, "unknown service")
    GRANT_TYPE_UNSUPPORTED = (400, "unsupported grant type")

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message


class RegistryError(Exception):
    """An error for the client, rendered by the base view.

    `detail` is any JSON value: a sentence, or a mapping where clients read one.
    `status` and `message` replace those of the table: 413 for a manifest that is too large, or a reason that a person
    has to read, since some clients print only the message.
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
        message: str | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.message = code.message if message is None else message
        self.detail = detail
        self.headers = dict(headers or {})
        self.status = code.status if status is None else status
        self.details: tuple[object, ...] = (detail,)

    @classmethod
    def several(cls, code: ErrorCode, details: Iterable[object]) -> Self:
        """Return one error that lists `code` once for each detail, of which there is at least one."""
        found = tuple(details)
        if not found:
            raise ValueError("an error without details to list")
        error = cls(code, found[0])
        error.details = found
        return error

    def body(self) -> dict[str, list[dict[str, object]]]:
        """Return the JSON body: `{"errors": [{"code", "message", "detail"}]}`, with an entry for each detail."""
        code, message = self.code.name, self.message
        return {"errors": [{"code": code, "message": message, "detail": detail} for detail in self.details]}

    def __str__(self) -> str:
        return "; ".join(self.code.name if detail is None else f"{self.code.name}: {detail}" for detail in self.details)


def unavailable(reason: str, retry_after_seconds: int = 2) -> RegistryError:
    """Return a 503 with a Retry-After."""
    return RegistryError(ErrorCode.UNAVAILABLE, reason, headers={"Retry-After": str(retry_after_seconds)})


def in_use(reason: str, key: str, users: Sequence[str]) -> RegistryError:
    """Return the 409 for content that `users` reference, digests that the detail lists under `key`.

    The message has the reason, since skopeo prints nothing else. The client can resolve the conflict, hence 409 (RFC
    9110, section 15.5.10): 403 would mean a missing permission, 405 a method that never works.
    """
    others = " and others" if len(users) > 1 else ""
    message = f"{reason} (in use by {users[0]}{others})"
    return RegistryError(ErrorCode.DENIED, {"reason": reason, key: list(users)}, status=409, message=message)


def quoted(text: str) -> str:
    """Return `text` in quotes for a detail: ASCII, control characters escaped, truncated to 100 characters.

    A detail repeats a client's bytes, and both logs and terminals print details.
    """
    if len(text) <= QUOTED_MAX_CHARACTERS:
        return ascii(text)
    return f"{text[:QUOTED_MAX_CHARACTERS]!a}..."
