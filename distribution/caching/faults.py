"""Errors of upstreams: as errors for clients, and remembered for a while, so that a crowd asks the upstream once."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.api.errors import ErrorCode, RegistryError, unavailable
from core.caches import TTLCache
from upstreams.exchange import LimitedError, MissingError, UnreachableError, UpstreamError
from upstreams.models import Proxy
from upstreams.sealing import UnreadablePasswordError

MISSING_SECONDS = 15.0
"""How long the upstream is not asked again for what it does not have."""

DOWN_SECONDS = 5.0
"""How long it is not asked at all after it did not answer."""

MAX_SECONDS = 3600.0
"""How long at most it is not asked after it has answered 429."""

RETRY_SECONDS = 5
REVALIDATION_FAILED = '111 - "Revalidation Failed"'

logger = logging.getLogger(__name__)

# By proxy, or by proxy and what was asked for: until when the error counts.
_faults: TTLCache[tuple[float, UpstreamError]] = TTLCache(MAX_SECONDS, name="upstream_faults")


@contextmanager
def remembered(proxy: Proxy, what: str) -> Iterator[None]:
    """Raise the UpstreamError of a moment ago for `what`; remember one that is raised in the block."""
    key = (proxy.pk, proxy.url, proxy.username)
    for known in (_faults.get(key), _faults.get((key, what))):
        if known is not None and known[0] > time.monotonic():
            raise _again(known[1])
    try:
        yield
    except UnreadablePasswordError as error:
        logger.exception("the upstream can't be asked", extra={"proxy": str(proxy)})
        raise UpstreamError(str(error)) from error
    except UpstreamError as error:
        level = logging.INFO if isinstance(error, MissingError) else logging.WARNING
        logger.log(level, "the upstream failed", extra={"proxy": str(proxy), "reason": str(error)})
        seconds = MISSING_SECONDS if isinstance(error, MissingError) else DOWN_SECONDS
        if isinstance(error, LimitedError):
            seconds = min(error.retry_after, MAX_SECONDS)
        # What one repository answers, or a host that the registry leads to, says nothing about the others.
        is_of_all = isinstance(error, UnreachableError) or (isinstance(error, LimitedError) and error.is_of_registry)
        _faults.put(key if is_of_all else (key, what), (time.monotonic() + seconds, _again(error)))
        raise


def _again(error: UpstreamError) -> UpstreamError:
    """Return the same error without its traceback, which would grow and keep its frames alive."""
    if isinstance(error, LimitedError):
        return LimitedError(str(error), error.retry_after)
    return type(error)(str(error))


def forget() -> None:
    """Ask upstreams again for everything."""
    _faults.clear()


def as_client_error(error: UpstreamError, code: ErrorCode) -> RegistryError:
    """Return the error for a client; `code` is that of what is missing.

    A 404 lets containerd ask the next host of its list. Hosts and addresses are for the log.
    """
    if isinstance(error, MissingError):
        reason = "the upstream does not have it, or does not show it to the account of this registry"
        return RegistryError(code, {"reason": reason}, message=f"{code.message}: {reason}")
    if isinstance(error, LimitedError):
        headers = {"Retry-After": str(error.retry_after)}
        return RegistryError(ErrorCode.TOOMANYREQUESTS, {"reason": str(error)}, headers=headers, message=str(error))
    reason = "can't be reached" if isinstance(error, UnreachableError) else "does not answer as it should"
    found = unavailable(f"the upstream of this repository {reason}", RETRY_SECONDS)
    found.message = str(found.detail)
    return found


def warning_of(error: UpstreamError) -> str:
    """Return the value of the header Warning of what is served although it could not be revalidated (RFC 7234, 5.5)."""
    return '110 - "Response is Stale"' if isinstance(error, LimitedError) else REVALIDATION_FAILED
