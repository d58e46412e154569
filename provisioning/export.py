"""Accounts, groups, rules, policies, webhooks and proxies as a configuration file for `loadconfig`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import CharField

from accounts.hashers import NO_PASSWORD, stored_form
from accounts.models import Account
from acl import grants
from acl.models import Rule, SubjectKind
from configuration.converters import ACCOUNT_PATTERN, GROUP, NAME_PATTERN, Value
from configuration.element import Reading, Refused
from policies.durations import DurationField
from policies.globs import GlobsField
from policies.kinds import KINDS
from policies.models import Policy
from policies.models.quota import SizeField
from provisioning.sections.rules import conditions_of
from upstreams.models import Proxy
from webhooks.kinds import Envelope
from webhooks.models import Webhook, default_events

BATCH = 1000
_READING = Reading(None, Path(), {})
_BCRYPT = stored_form("")


def yaml_text(*, with_hashes: bool, with_webhooks: bool = True, with_proxies: bool = True) -> str:
    """Return the imported sections of a file; without hashes nobody can log in by it.

    The file knows groups by their members only, and gives no permissions: comments name what it leaves out. Secrets of
    webhooks and proxies are never written: the file names files for those of webhooks.
    """
    accounts = list(_accounts())
    left_out = [
        account.name
        for account in accounts
        if account.is_robot and not (account.owner and _fits(GROUP, account.owner.name))
    ]
    users = {
        account.name: _user(account, with_hashes=with_hashes) for account in accounts if account.name not in left_out
    }
    rules, invalid = _rules()
    comments = list(_left_out(left_out, invalid))
    if not with_hashes:
        comments.insert(0, "Without the hashes of passwords: nobody can log in until one is set.")
    hooks = {hook.name: _webhook(hook) for hook in Webhook.objects.all()}
    if hooks and not with_webhooks:
        hooks = {}
        comments.append("Without webhooks, which this account may not see.")
    proxies = list(Proxy.objects.order_by("prefix"))
    if proxies and not with_proxies:
        proxies = []
        comments.append("Without proxies, which this account may not see.")
    comments.extend(f"Without the password of the proxy {proxy}." for proxy in proxies if proxy.sealed_password)
    if hooks:
        comments.append("Write the secrets of webhooks into the files that `secret_file` and `value_file` name.")
    lines = "".join(f"# {comment}\n" for comment in comments)
    found: dict[str, Any] = {"users": users, "acl": rules}
    rows = {kind.kind: kind._default_manager.order_by("pk") for kind in KINDS}  # noqa: SLF001 - Django documents it
    if policies := {kind: some for kind, of_kind in rows.items() if (some := list(map(_columns, of_kind)))}:
        found["policies"] = policies
    if hooks:
        found["webhooks"] = hooks
    if proxies:
        found["proxies"] = list(map(_columns, proxies))
    return lines + yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120)


def _left_out(robots: Sequence[str], invalid: Sequence[Rule]) -> Iterator[str]:
    """Yield what the file can't have of accounts, groups and rules, and why."""
    for name in robots:
        yield f"Without the robot {name!a}, whose owner was deleted or has a name that the file can't have."
    for name, provider in Account.objects.exclude(provider="").order_by("name").values_list("name", "provider"):
        yield f"Without the account {name!a}, which is of {provider}."
    for name in Group.objects.filter(user__isnull=True).order_by("name").values_list("name", flat=True):
        yield f"Without the group {name!a}, which has no members."
    for name in sorted({name for name in Group.objects.values_list("name", flat=True) if not _fits(GROUP, name)}):
        yield f"Without the group {name!a}: the file can't have this name."
    for rule in invalid:
        if rule.is_deny or rule.order is not None:
            yield f"The rule {rule.pk} is not valid, and denies more here than it was to."
        else:
            yield f"Without the rule {rule.pk}, which is not valid."


def _accounts() -> Iterator[Account]:
    # The file would give those of a provider a password here.
    rows = Account.objects.filter(provider="").select_related("owner").prefetch_related("groups")
    return rows.order_by("name").iterator(BATCH)


def _user(account: Account, *, with_hashes: bool) -> dict[str, Any]:
    is_bcrypt = account.password.startswith(_BCRYPT)
    user: dict[str, Any] = {
        "password": account.password.removeprefix(_BCRYPT) if with_hashes and is_bcrypt else NO_PASSWORD
    }
    if account.owner is not None:
        user = {"robot": True, "owner": account.owner.name}
    if account.is_superuser:
        user["superuser"] = True
    elif account.is_staff:
        user["staff"] = True
    if groups := sorted(group.name for group in account.groups.all() if _fits(GROUP, group.name)):
        user["groups"] = groups
    return user if account.is_active else user | {"active": False}


def _rules() -> tuple[list[dict[str, Any]], list[Rule]]:
    """Return the rules without duplicates, and those that are not valid."""
    found: dict[tuple[object, ...], dict[str, Any]] = {}
    invalid = []
    for rule in Rule.objects.order_by("pk").iterator(BATCH):
        if not _is_valid(rule):
            invalid.append(rule)
            if not rule.is_deny and rule.order is None:
                continue
            _widen(rule)
        subject = True if rule.subject_kind == SubjectKind.ANONYMOUS else rule.subject
        entry: dict[str, Any] = {str(rule.subject_kind): subject, "name": rule.name, "actions": rule.actions.split(",")}
        conditions = conditions_of(rule)
        entry |= conditions | ({"networks": rule.networks.split(",")} if rule.networks else {})
        key = (rule.subject_kind, rule.subject, rule.name, rule.actions, *conditions.items())
        comment = _printable(rule.comment)
        found.setdefault(key, entry | ({"comment": comment} if comment else {}))
    return list(found.values()), invalid


def _columns(row: Policy | Proxy) -> dict[str, Any]:
    """Return the columns of a row that differ from their defaults, as the file has them."""
    found = {}
    for field in [row._meta.get_field(name) for name in row.entered]:  # noqa: SLF001 - Django documents it
        value = getattr(row, field.name)
        if value == field.get_default():  # type: ignore[union-attr]  # no relation
            continue
        if isinstance(field, GlobsField | SizeField | DurationField):
            value = field.in_file(value)
        # Lines of text, as PEM, are checked when they are entered.
        is_line = isinstance(field, CharField) and isinstance(value, str)
        found[field.name] = _printable(value) if is_line else value
    return found


def _webhook(hook: Webhook) -> dict[str, Any]:
    """Return a webhook: what differs from the defaults, and the names of files in place of secrets."""
    entry: dict[str, Any] = {"url": hook.url, "secret_file": f"webhook-{hook.name}-secret"}
    if hook.envelope != Envelope.DISTRIBUTION:
        entry["format"] = hook.envelope
    if sorted(hook.events) != sorted(default_events()):
        entry["events"] = hook.events
    if hook.repositories != "*":
        entry["repositories"] = hook.repositories
    if not hook.is_active:
        entry["enabled"] = False
    entry |= {name: True for name in ("allow_http", "allow_private") if getattr(hook, name)}
    if hook.ca:
        entry["ca"] = hook.ca
    if names := hook.header_names:
        entry["headers"] = {name: {"value_file": f"webhook-{hook.name}-{name}"} for name in names}
    return entry


def _printable(text: str) -> str:
    """Return a string that the file may have: without control characters."""
    return "".join(character if character.isprintable() else " " for character in text)


def _is_valid(rule: Rule) -> bool:
    try:
        rule.full_clean()
    except ValidationError:
        return False
    return not _misfits(rule)


def _misfits(rule: Rule) -> set[str]:
    """Return the columns whose value the file can't have."""
    subjects = {SubjectKind.ACCOUNT: ACCOUNT_PATTERN, SubjectKind.GROUP: GROUP}
    subject = subjects.get(SubjectKind(rule.subject_kind))
    found = set() if _fits(NAME_PATTERN, rule.name) else {"name"}
    return found if subject is None or _fits(subject, rule.subject) else found | {"subject"}


def _widen(rule: Rule) -> None:
    """Have the file deny at least what the rule denies: without it, the file would allow more."""
    grants.in_force(rule)
    grants.hold_back(rule)
    grants.widen(rule, _misfits(rule))


def _fits(value: Value, text: str) -> bool:
    """Tell whether the file may have this string there."""
    try:
        value.convert(text, _READING)
    except Refused:
        return False
    return True
