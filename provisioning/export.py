"""Accounts, groups and rules as a configuration file, which `loadconfig` imports into another database."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError

from accounts.hashers import NO_PASSWORD, stored_form
from accounts.models import Account
from acl.models import Rule, SubjectKind
from configuration.converters import ACCOUNT_PATTERN, GROUP, NAME_PATTERN, Value
from configuration.element import Reading, Refused

BATCH = 1000
_READING = Reading(None, Path(), {})
_BCRYPT = stored_form("")


def yaml_text(*, with_hashes: bool) -> str:
    """Return the sections `users` and `acl`; without hashes nobody can log in by the file until a password is set.

    The file knows groups by their members only, and gives no permissions: comments name what it leaves out.
    """
    users = {account.name: _user(account, with_hashes=with_hashes) for account in _accounts()}
    provided = Account.objects.exclude(provider="").order_by("name").values_list("name", "provider")
    rules, invalid = _rules()
    unnamed = sorted({name for name in Group.objects.values_list("name", flat=True) if not _fits(GROUP, name)})
    empty = Group.objects.filter(user__isnull=True).order_by("name").values_list("name", flat=True)
    comments = [
        *([] if with_hashes else ["Without the hashes of passwords: nobody can log in until one is set."]),
        *(f"Without the account {name!a}, which is of {provider}." for name, provider in provided),
        *(f"Without the group {name!a}, which has no members." for name in empty),
        *(f"Without the group {name!a}: the file can't have this name." for name in unnamed),
        *(f"Without the rule {rule.pk}, which is not valid." for rule in invalid),
    ]
    lines = "".join(f"# {comment}\n" for comment in comments)
    return lines + yaml.safe_dump({"users": users, "acl": rules}, sort_keys=False, allow_unicode=True, width=120)


def _accounts() -> Iterator[Account]:
    # The file would give those of a provider a password here.
    return Account.objects.filter(provider="").prefetch_related("groups").order_by("name").iterator(BATCH)


def _user(account: Account, *, with_hashes: bool) -> dict[str, Any]:
    is_bcrypt = account.password.startswith(_BCRYPT)
    user: dict[str, Any] = {
        "password": account.password.removeprefix(_BCRYPT) if with_hashes and is_bcrypt else NO_PASSWORD
    }
    if account.is_superuser:
        user["superuser"] = True
    elif account.is_staff:
        user["staff"] = True
    if groups := sorted(group.name for group in account.groups.all() if _fits(GROUP, group.name)):
        user["groups"] = groups
    return user if account.is_active else user | {"active": False}


def _rules() -> tuple[list[dict[str, Any]], list[Rule]]:
    """Return the rules without duplicates, and those that are not valid."""
    found: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    invalid = []
    for rule in Rule.objects.order_by("pk").iterator(BATCH):
        if not _is_valid(rule):
            invalid.append(rule)
            continue
        subject = True if rule.subject_kind == SubjectKind.ANONYMOUS else rule.subject
        entry = {str(rule.subject_kind): subject, "name": rule.name, "actions": rule.actions.split(",")}
        key = (rule.subject_kind, rule.subject, rule.name, rule.actions)
        comment = "".join(character if character.isprintable() else " " for character in rule.comment)
        found.setdefault(key, entry | ({"comment": comment} if comment else {}))
    return list(found.values()), invalid


def _is_valid(rule: Rule) -> bool:
    try:
        rule.full_clean()
    except ValidationError:
        return False
    subjects = {SubjectKind.ACCOUNT: ACCOUNT_PATTERN, SubjectKind.GROUP: GROUP}
    subject = subjects.get(SubjectKind(rule.subject_kind))
    return _fits(NAME_PATTERN, rule.name) and (subject is None or _fits(subject, rule.subject))


def _fits(value: Value, text: str) -> bool:
    """Tell whether the file may have this string there."""
    try:
        value.convert(text, _READING)
    except Refused:
        return False
    return True
