"""Robots: accounts for machines, without a password; the members of a group manage their access tokens."""

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Account
from accounts.names import ACCOUNT_NAME


def create(name: str, owner: Group, groups: Iterable[Group] = ()) -> Account:
    """Return a new robot of the group `owner`; rules for `groups` apply to it. Raises ValidationError."""
    robot = Account(name=name, owner=owner, is_robot=True)
    robot.set_unusable_password()
    robot.full_clean()
    if Account.objects.filter(name__iexact=name).exists():
        raise ValidationError("There is an account of this name, upper and lower case aside.")
    with transaction.atomic():
        robot.save(force_insert=True)
        robot.groups.set(groups)
    return robot


def managed_by(account: Account) -> QuerySet[Account]:
    """Return the robots of the groups that `account` is a member of now, by name."""
    return Account.objects.filter(is_robot=True, owner__user=account).select_related("owner").order_by("name")


def named(account: Account, name: str) -> Account | None:
    """Return the robot `name` if `account` manages it."""
    # PostgreSQL refuses a query with a NUL.
    return managed_by(account).filter(name=name).first() if ACCOUNT_NAME.fullmatch(name) else None
