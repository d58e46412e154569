"""The origin of rows, and the way back to the file for those that were edited since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Account
from acl.models import Rule
from configuration import Configuration
from core.db import setup
from policies.kinds import BY_NAME, KINDS
from provisioning.models import ImportedEntry, Section
from provisioning.policies import Policies, policy_content
from provisioning.proxies import Proxies, proxy_content
from provisioning.rules import Rules, rule_content
from provisioning.section_import import SectionImport, batches, fingerprint
from provisioning.users import Users, account_content
from upstreams.models import Proxy


class Origin(StrEnum):
    """Where a row is from."""

    FILE = "file"
    EDITED = "file, edited since"
    LEFT = "file, no longer in it"
    ADMIN = "admin"


_SECTIONS: dict[str, Callable[[Configuration], SectionImport[Any, Any]]] = {
    Section.USERS: Users,
    Section.ACL: Rules,
    Section.PROXIES: Proxies,
    **{Section(kind.kind): partial(Policies, kind=kind) for kind in KINDS},
}


def origins(section: Section, pks: Iterable[int] | None = None) -> dict[int, Origin]:
    """Return the origin of rows of the file by primary key; None means all of them. Other rows are of the admin."""
    records = ImportedEntry.objects.filter(section=section)
    if pks is not None:
        records = records.filter(row_id__in=list(pks))
    found: dict[int, Origin] = {}
    for some in batches(list(records)):
        content = _contents(section, [record.row_id for record in some])
        for record in some:
            if record.row_id in content:
                is_edited = content[record.row_id] != record.row_fingerprint
                of_file = Origin.EDITED if is_edited else Origin.FILE
                found[record.row_id] = of_file if record.fingerprint else Origin.LEFT
    return found


def pks_of_file(section: Section) -> QuerySet[ImportedEntry, int]:
    """Return the primary keys of the rows that an import made."""
    return ImportedEntry.objects.filter(section=section).values_list("row_id", flat=True)


def restore(configuration: Configuration, section: Section, pks: Collection[int]) -> list[int]:
    """Write rows as their entries of `configuration`; return the primary keys of those that were written.

    A row is left whose entry is not the one that was imported last. Raises IntegrityError when the name of an entry
    is taken.
    """
    given: dict[str, object] = {
        Section.USERS: configuration.users,
        Section.ACL: configuration.acl,
        Section.PROXIES: configuration.proxies,
    }
    if (given | dict(configuration.policies)).get(section) is None:
        return []
    with transaction.atomic():
        setup.lock_until_commit()
        return _SECTIONS[section](configuration).restore(pks)


def _contents(section: Section, pks: list[int]) -> dict[int, str]:
    if section is Section.USERS:
        accounts = Account.objects.prefetch_related("groups").in_bulk(pks)
        return {pk: fingerprint(account_content(row)) for pk, row in accounts.items()}
    if section is Section.ACL:
        return {pk: fingerprint(rule_content(row)) for pk, row in Rule.objects.in_bulk(pks).items()}
    if section is Section.PROXIES:
        return {pk: fingerprint(proxy_content(row)) for pk, row in Proxy.objects.in_bulk(pks).items()}
    policies = BY_NAME[section]._default_manager.in_bulk(pks)  # noqa: SLF001 - Django documents it
    return {pk: fingerprint(policy_content(row)) for pk, row in policies.items()}
