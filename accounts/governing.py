"""Which accounts and groups an administrator may change.

The right to change accounts would be enough to take one over, by a new password or by more permissions. So only a
superuser changes staff accounts, and accounts and groups with permissions.
"""

from typing import Any

from django.contrib.auth.models import Group

from accounts.models import Account


def may_govern(actor: Any, account: Account | None) -> bool:
    """Tell whether `actor` may change `account`; None means accounts in general.

    Only a superuser may change an account that is staff or has permissions, its own or those of a group.
    """
    if actor.is_superuser or account is None:
        return True
    groups_give = account.groups.filter(permissions__isnull=False)
    return not (account.is_staff or account.is_superuser or account.user_permissions.exists() or groups_give.exists())


def may_govern_group(actor: Any, group: Group | None) -> bool:
    """Tell whether `actor` may change `group`, None: groups in general; only a superuser one with permissions."""
    return bool(actor.is_superuser) or group is None or not group.permissions.exists()
