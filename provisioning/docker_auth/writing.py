"""Write what a file of docker_auth becomes, or print it as sections of a configuration file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from django.db import transaction

from acl.models import Rule
from acl.networks import canonical
from acl.rules import sentence
from audit.kinds import Kind
from audit.recording import record_now
from configuration.values import RuleEntry, UserEntry
from core.db import setup
from provisioning.accounts import join_groups, write_account
from provisioning.docker_auth.translation import Translation
from provisioning.outcome import Change

BATCH = 200
_COMPARED = ("subject_kind", "subject", "name", "actions", "is_deny", "tags", "networks", "until", "order")


@dataclass(slots=True)
class Written:
    """The steps of an import, and what to know about what was there before."""

    steps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class OtherRulesError(Exception):
    """There are rules with an order that are not of the file: they would mix. The message says what to do."""


def write(translation: Translation, place: str, *, replaces: bool, is_rehearsal: bool) -> Written:
    """Write accounts, groups and rules in one transaction, of which a rehearsal leaves nothing.

    With `replaces`, passwords of accounts that exist become those of the file, and other rules with an order are
    deleted. Raises OtherRulesError and ValidationError.
    """
    found = Written()
    with transaction.atomic():
        setup.lock_until_commit()
        for user in translation.users:
            _write_user(user, found, replaces=replaces)
        _write_rules(translation.rules, found, replaces=replaces)
        if found.steps and not is_rehearsal:
            detail = "; ".join([f"{len(found.steps)} changes", *found.steps])
            record_now(Kind.IMPORT, credential="command", reference=place, detail=detail)
        if is_rehearsal:
            transaction.set_rollback(True)
    return found


def _write_user(user: UserEntry, found: Written, *, replaces: bool) -> None:
    account, change = write_account(user.name, user.password, replaces=replaces)
    if change is Change.EDITED:
        found.notes.append(f"line {user.line}: the account {user.name} is there with another password, which stays")
    elif change is not None:
        found.steps.append(f"{change} user {user.name}")
    found.steps += [f"+ {user.name} in the group {group}" for group in join_groups(account, user.groups)]


def _write_rules(entries: Iterable[RuleEntry], found: Written, *, replaces: bool) -> None:
    wanted = {_key(row): row for row in map(_row, entries)}
    known = {_key(row): row for row in Rule.objects.exclude(order=None)}
    others = [row for key, row in known.items() if key not in wanted]
    if others and not replaces:
        raise OtherRulesError(
            f"there are rules with an order that are not of this file, as {sentence(others[0])!r}: they would mix with "
            "its rules. Delete them, or run again with --replace, which does"
        )
    new = [row for key, row in wanted.items() if key not in known]
    for row in new:
        row.full_clean()
    Rule.objects.filter(pk__in=[row.pk for row in others]).delete()
    Rule.objects.bulk_create(new, batch_size=BATCH)
    found.steps += [f"- rule {row}" for row in others] + [f"+ rule {row}" for row in new]
    if beside := Rule.objects.filter(order=None).count():
        found.notes.append(
            f"{beside} rules without an order are there: what they allow is allowed besides, what they deny is denied"
        )


def _row(entry: RuleEntry) -> Rule:
    return Rule(
        subject_kind=entry.subject_kind,
        subject=entry.subject,
        name=entry.name,
        actions=",".join(entry.actions),
        is_deny=entry.is_deny,
        networks=canonical(entry.networks),
        order=entry.order,
        comment=entry.comment,
    )


def _key(rule: Rule) -> tuple[object, ...]:
    return tuple(getattr(rule, name) for name in _COMPARED)


def yaml_text(translation: Translation) -> str:
    """Return the sections `users` and `acl` of a configuration file."""
    sections = {
        "users": {user.name: dict(_user(user)) for user in translation.users},
        "acl": [dict(_rule(rule)) for rule in translation.rules],
    }
    return yaml.safe_dump(sections, sort_keys=False, allow_unicode=True, width=120)


def _user(user: UserEntry) -> Iterator[tuple[str, Any]]:
    yield "password", user.password
    if user.groups:
        yield "groups", list(user.groups)


def _rule(rule: RuleEntry) -> Iterator[tuple[str, Any]]:
    yield rule.subject_kind, True if rule.subject_kind == "anonymous" else rule.subject
    yield "name", rule.name
    yield "actions", list(rule.actions)
    if rule.is_deny:
        yield "deny", True
    if rule.networks:
        yield "networks", [str(network) for network in rule.networks]
    yield "order", rule.order
    if rule.comment:
        yield "comment", rule.comment
