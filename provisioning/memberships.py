"""Bulk writes of group memberships."""

from collections.abc import Mapping, Sequence

from django.contrib.auth.models import Group

from accounts.models import Account
from provisioning.section_import import BATCH, batches

_Membership = Account.groups.through


def write_memberships(wanted: Mapping[int, Sequence[str]]) -> None:
    """Set the groups of each account by name, and create missing groups."""
    names = {name for listed in wanted.values() for name in listed}
    groups = dict(Group.objects.values_list("name", "pk"))
    new = [Group(name=name) for name in sorted(names) if name not in groups]
    groups |= {group.name: group.pk for group in Group.objects.bulk_create(new, batch_size=BATCH)}
    for some in batches(list(wanted)):
        _write_some({(account, groups[name]) for account in some for name in wanted[account]}, some)


def _write_some(wanted: set[tuple[int, int]], accounts: Sequence[int]) -> None:
    rows = _Membership.objects.filter(account_id__in=accounts).values_list("pk", "account_id", "group_id")
    found = {(account, group): pk for pk, account, group in rows}
    for some in batches([pk for pair, pk in found.items() if pair not in wanted]):
        _Membership.objects.filter(pk__in=some).delete()
    new = [_Membership(account_id=account, group_id=group) for account, group in sorted(wanted - found.keys())]
    _Membership.objects.bulk_create(new, batch_size=BATCH)
