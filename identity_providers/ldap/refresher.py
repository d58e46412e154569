"""Look known accounts up again, in a thread of each worker, so that no request asks the directory but a login.

    accounts that were last looked up half the cache time ago ──claim──> one search each ──> groups, powers, activity

A claim is an update of `checked_at`, so each account is looked up by one process. What changes replaces the permissions
version: tokens, sessions and docker logins of somebody who has left end with the next request. While the directory is
away, all stays as it is.
"""

import logging
import threading
from datetime import timedelta
from typing import cast

from django.conf import settings
from django.db import Error, connections, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Account
from accounts.providers import LDAP
from configuration.company_login import Ldap
from core.db import database_fault
from identity_providers.adoption import follow, miss
from identity_providers.ldap.connection import Directory, DirectoryError, connected
from identity_providers.ldap.directory import AmbiguousError, find

BATCH = 100

logger = logging.getLogger(__name__)


class Refresher:
    """The thread of a worker that looks accounts up."""

    def __init__(self) -> None:
        self._ldap = cast(Ldap, settings.REGISTRY.auth.ldap)
        self._interval = self._ldap.cache.total_seconds() / 4
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="directory", daemon=True)
        self._is_away = False

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread after the account that it is looking up."""
        self._stop.set()
        self._thread.join(self._ldap.timeout.total_seconds())

    def _work(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                while self.refresh_batch() and not self._stop.is_set():
                    pass
            except DirectoryError as error:
                if not self._is_away:
                    logger.warning("the directory (auth.ldap) can't be asked", extra={"reason": str(error)})
                self._is_away = True
            except Error as error:  # the thread survives a database that is unavailable
                database_fault.report(error)
            except Exception:  # as above
                logger.exception("accounts of the directory could not be looked up")
            finally:
                connections.close_all()

    def refresh_batch(self) -> bool:
        """Look some accounts up that are due; tell whether there were any. Raises DirectoryError."""
        accounts = _claimed(self._ldap.cache / 2)
        if not accounts:
            return False
        left = {account.pk for account in accounts}
        try:
            with connected(self._ldap) as directory:
                for account in accounts:
                    if self._stop.is_set():
                        break
                    refresh(directory, self._ldap, account)
                    left.discard(account.pk)
        finally:
            # Otherwise a failure would count as a look for half the cache time.
            Account.objects.filter(pk__in=left).update(checked_at=None)
        if self._is_away:
            logger.info("the directory (auth.ldap) answers again")
        self._is_away = False
        return True


def _claimed(age: timedelta) -> list[Account]:
    now = timezone.now()
    is_due = Q(checked_at=None) | Q(checked_at__lt=now - age)
    with transaction.atomic():
        due = Account.objects.select_for_update(skip_locked=True).filter(is_due, provider=LDAP)
        accounts = list(due.order_by("pk")[:BATCH])
        Account.objects.filter(pk__in=[account.pk for account in accounts]).update(checked_at=now)
    return accounts


def refresh(directory: Directory, ldap: Ldap, account: Account) -> None:
    """Make the account what the directory has of it now. Raises DirectoryError."""
    try:
        found = find(directory, ldap, account.name)
    except AmbiguousError as error:
        logger.warning("an account can't be looked up", extra={"account": account.name, "reason": str(error)})
        return
    with transaction.atomic():
        # As it is now: an administrator may have changed it meanwhile.
        current = Account.objects.select_for_update().filter(pk=account.pk, provider=LDAP).first()
        if current is None:
            return
        if found is None or found[1].name != current.name:
            miss(current)
        else:
            follow(current, found[1], ldap.groups.mirror if ldap.groups else ())
