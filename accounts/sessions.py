"""Sessions of the admin: database rows as in Django, or signed cookies while the database is read-only.

A signed session is valid for SIGNED_SECONDS after the login. Like any session it holds the session auth hash, so a
change of the password ends it.

A logout removes the cookie from the browser, but can't revoke a signed session or a row that it can't delete. This
process refuses copies of such a cookie for SIGNED_SECONDS; other processes accept them until the session expires. The
page after the logout says so.
"""

import hashlib
import logging
import time
from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.core import signing
from django.db import DatabaseError, InternalError, OperationalError

from core.caches import TTLCache
from core.db.database_fault import report
from core.db.short_transaction import short_transaction

SIGNED_SECONDS = 3600
PATIENCE_SECONDS = 1.0

_SALT = "accounts.sessions"
# Part of every signed session, never of a row's key.
_SEPARATOR = ":"

logger = logging.getLogger(__name__)
_ended: TTLCache[bool] = TTLCache(SIGNED_SECONDS)


class SessionStore(db.SessionStore):
    """A session whose key is the key of its row, or the signed session itself."""

    has_outlived_logout = False
    """Whether a copy of the deleted session's cookie may still be valid."""

    # The time of login of a signed session.
    _began_at = 0

    def load(self) -> dict[str, Any]:
        """Return the session's data, empty for one that has ended."""
        key = self.session_key or ""
        if _ended.get(_digest(key)):
            session = None
        elif _SEPARATOR in key:
            session = self._signed(key)
        else:
            return super().load()
        if session is None:
            self._session_key = None
        return session or {}

    def save(self, must_create: bool = False) -> None:
        """Store the session. Raises UpdateError when it was deleted meanwhile, CreateError for a key in use."""
        if self.session_key is None:
            self.create()
        elif _SEPARATOR in self.session_key:
            self._sign(must_create)
        elif must_create:
            self._create_row()
        else:
            self._update_row()

    def delete(self, session_key: str | None = None) -> None:
        """End the session, at least for this process."""
        key = session_key or self.session_key
        if key is None:
            return
        _ended.put(_digest(key), True)
        self.has_outlived_logout = _SEPARATOR in key or not self._is_row_deleted(key)

    def _is_row_deleted(self, key: str) -> bool:
        try:
            with short_transaction(PATIENCE_SECONDS):
                super().delete(key)
        except DatabaseError as error:
            logger.warning(
                "a session can't be deleted: a change of the password ends it", extra={"reason": report(error).reason}
            )
            return False
        return True

    def _signed(self, key: str) -> dict[str, Any] | None:
        try:
            began_at, session = signing.loads(key, salt=_SALT)
        except signing.BadSignature:
            return None
        self._began_at = began_at
        is_good = 0 <= time.time() - began_at <= SIGNED_SECONDS
        return session if is_good else None

    def _sign(self, must_create: bool) -> None:
        session = self._get_session(no_load=must_create)  # type: ignore[attr-defined]  # the stubs lack it
        self._session_key = signing.dumps([self._began_at, session], salt=_SALT)

    def _create_row(self) -> None:
        try:
            with short_transaction(PATIENCE_SECONDS):
                super().save(must_create=True)
        except DatabaseError as error:
            logger.warning("a session is kept in its cookie", extra={"reason": report(error).reason})
            # Kept when the session is signed again, so that use does not extend it.
            self._began_at = int(time.time())
            self._sign(must_create=True)

    def _update_row(self) -> None:
        try:
            with short_transaction(PATIENCE_SECONDS):
                super().save()
        except (DatabaseError, UpdateError) as error:
            cause = error.__context__ if isinstance(error, UpdateError) else error
            # Django raises UpdateError for a deleted row too: a logout must stay final.
            if not isinstance(cause, OperationalError | InternalError):
                raise
            logger.warning("a session stays as it was", extra={"reason": report(cause).reason})


def _digest(key: str) -> bytes:
    # A signed session's key is as long as a cookie.
    return hashlib.sha256(key.encode()).digest()
