"""Warnings about rules of the configuration file without effect."""

from django.contrib.auth.models import Group

from accounts.models import Account
from acl import actions, idle
from configuration import Configuration
from configuration.errors import place
from configuration.values import RuleEntry

_MAX_SHOWN = 50


def idle_rules(configuration: Configuration) -> tuple[str, ...]:
    """Return a warning for each rule without effect on the accounts and groups of file and database."""
    entries, users = configuration.acl or (), configuration.users or ()
    if not entries:
        return ()
    accounts = {*Account.objects.values_list("name", flat=True), *(user.name for user in users)}
    groups = {*Group.objects.values_list("name", flat=True), *(group for user in users for group in user.groups)}
    rules = idle.Rules([_candidate(entry) for entry in entries], accounts, groups)
    lines = [
        f"{place(configuration.path, entries[found].line, 'acl')}: this rule can do nothing: {why}"
        for found, why in rules.reasons()
    ]
    if len(lines) > _MAX_SHOWN:
        lines = [*lines[:_MAX_SHOWN], f"{len(lines) - _MAX_SHOWN} more rules can do nothing"]
    if rules.is_exhausted:
        lines.append(f"{configuration.path}: acl: not all rules were compared: they are too many and too alike")
    return tuple(lines)


def _candidate(entry: RuleEntry) -> idle.Candidate:
    concrete = actions.expand(entry.actions)
    return idle.Candidate(entry.subject_kind, entry.subject, entry.name, concrete, f"the rule of line {entry.line}")
