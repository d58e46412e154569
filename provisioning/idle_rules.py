"""Warnings about rules of the configuration file without effect."""

from django.contrib.auth.models import Group

from accounts.models import Account
from acl import actions, idle
from configuration import Configuration
from configuration.errors import place

_MAX_SHOWN = 50


def idle_rules(configuration: Configuration) -> tuple[str, ...]:
    """Return a warning for each rule without effect on the accounts and groups of file and database."""
    entries, users = configuration.acl or (), configuration.users or ()
    if not entries:
        return ()
    accounts = {*Account.objects.values_list("name", flat=True), *(user.name for user in users)}
    groups = {*Group.objects.values_list("name", flat=True), *(group for user in users for group in user.groups)}
    candidates = [
        idle.Candidate(
            e.subject_kind,
            e.subject,
            e.name,
            actions.expand(e.actions),
            f"the rule of line {e.line}",
            e.is_deny,
            e.tags,
            e.networks,
            e.until,
            e.order,
        )
        for e in entries
    ]
    rules = idle.Rules(candidates, accounts, groups)
    lines = [
        f"{place(configuration.path, entries[found].line, 'acl')}: this rule has no effect: {why}"
        for found, why in rules.reasons()
    ]
    if len(lines) > _MAX_SHOWN:
        lines = [*lines[:_MAX_SHOWN], f"{len(lines) - _MAX_SHOWN} more rules have no effect"]
    if rules.is_exhausted:
        lines.append(f"{configuration.path}: acl: not all rules were compared: they are too many and too alike")
    return tuple(lines)
