"""The account of a person: made at the first login, then kept as the provider has it.

    no account of the name, in any case          ──> a new account, without a password
    an account of the same provider and subject  ──> its groups and powers follow the provider
    ... and another subject, of a directory      ──> a later person of the same name: tokens and sessions end
    ... and another subject, of OpenID           ──> refused: names may be chosen there
    any other account                            ──> refused: nobody takes over an account by its name

The stored password is unusable, and made of the subject and the mark of the provider's password. So what depends on the
password (tokens, sessions, docker logins) ends when either changes.
"""

import hashlib
import logging

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import Group
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from accounts.models import Account, ProvidedMembership
from accounts.names import ACCOUNT_NAME
from accounts.providers import OIDC, TAKEN
from audit.kinds import Kind
from audit.recording import record
from core.db.database_fault import report
from core.db.short_transaction import short_transaction
from identity_providers.person import Person, is_named

PATIENCE_SECONDS = 2.0

logger = logging.getLogger(__name__)


def adopt(person: Person, patterns: tuple[str, ...]) -> Account | None:
    """Return the account of somebody who has logged in; None for a refusal, which is logged.

    `patterns` are those of the groups to take over. While the database can't be written, a known account is returned
    as it is.
    """
    if not ACCOUNT_NAME.fullmatch(person.name):
        logger.warning("login refused: the name that %s has is no name of an account", person.provider)
        return None
    account = Account.objects.filter(name__iexact=person.name).first()
    if account is not None and not _is_of(account, person):
        logger.warning(TAKEN, person.provider, extra={"account": account.name})
        return None
    try:
        with short_transaction(PATIENCE_SECONDS):
            if account is None:
                account = _made(person)
            follow(account, person, patterns)
    except IntegrityError:
        # Another process has made the account meanwhile.
        return adopt(person, patterns)
    except DatabaseError as error:
        if account is None or account.subject != person.subject:
            raise
        logger.warning("an account stays as it was: it can't be stored", extra={"reason": report(error).reason})
    return account if account.is_active else None


def _is_of(account: Account, person: Person) -> bool:
    if account.provider != person.provider or account.name != person.name:
        return False
    return person.provider != OIDC or account.subject == person.subject


def _made(person: Person) -> Account:
    account = Account(name=person.name, provider=person.provider, subject=person.subject, password=_mark(person))
    account.save(force_insert=True)
    _record(account, f"added at the first login by {person.provider}")
    return account


def follow(account: Account, person: Person, patterns: tuple[str, ...]) -> None:
    """Store what has changed; an account that an administrator has deactivated stays so."""
    wanted = {"password": _mark(person), "subject": person.subject, "checked_at": timezone.now()}
    powers = {"is_superuser": person.is_superuser, "is_staff": person.is_staff}
    if person.is_superuser:
        powers["is_staff"] = True
    wanted |= {name: value for name, value in powers.items() if value is not None}
    if account.missing_since is not None:
        wanted |= {"missing_since": None, "is_active": True}
        _record(account, f"active again: {person.provider} knows it again")
    if account.subject != person.subject:
        _record(account, f"{person.provider} has another person of this name: its tokens and sessions have ended")
    for name in ("is_superuser", "is_staff"):
        if name in wanted and wanted[name] != getattr(account, name):
            _record(account, f"{name} {'given' if wanted[name] else 'taken away'} by {person.provider}")
    changed = [name for name, value in wanted.items() if getattr(account, name) != value]
    for name in changed:
        setattr(account, name, wanted[name])
    account.save(update_fields=changed)
    _set_groups(account, person, patterns)


def miss(account: Account) -> None:
    """Deactivate an account that its provider does not know any more; it may come back."""
    if not account.is_active:
        return
    account.is_active, account.missing_since = False, timezone.now()
    account.save(update_fields=["is_active", "missing_since"])
    logger.warning("account deactivated: %s does not know it any more", account.provider, extra={"account": account})
    _record(account, f"deactivated: {account.provider} does not know it any more")


def _set_groups(account: Account, person: Person, patterns: tuple[str, ...]) -> None:
    """Add and remove memberships of the provider; those that were given by hand stay."""
    given = set(account.provided_memberships.values_list("group_id", flat=True))
    present = set(account.groups.values_list("pk", flat=True))
    wanted = {group.pk for group in map(_group, person.groups) if _may_be_given(group, patterns)}
    if removed := given - wanted:
        account.groups.remove(*removed)
        account.provided_memberships.filter(group__in=removed).delete()
    if added := wanted - present:
        account.groups.add(*added)
        rows = [ProvidedMembership(account=account, group_id=pk) for pk in sorted(added)]
        ProvidedMembership.objects.bulk_create(rows, ignore_conflicts=True)


def _group(name: str) -> Group:
    return Group.objects.get_or_create(name=name)[0]


def _may_be_given(group: Group, patterns: tuple[str, ...]) -> bool:
    # A pattern may match more than its author thought of: a group with permissions in the admin is named itself.
    return is_named(group.name, patterns) or not group.permissions.exists()


def _mark(person: Person) -> str:
    text = f"{person.provider}\0{person.subject}\0{person.credential_mark}"
    return UNUSABLE_PASSWORD_PREFIX + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _record(account: Account, detail: str) -> None:
    transaction.on_commit(
        lambda: record(Kind.CHANGE, None, credential=account.provider, reference=f"account {account}", detail=detail)
    )
