"""The section `acl`: each entry is a rule."""

import json

from acl.models import Rule
from acl.networks import canonical
from acl.until import until_text
from configuration import Configuration
from configuration.values import RuleEntry
from provisioning.models import Section
from provisioning.sections.section_import import SectionImport


class Rules(SectionImport[RuleEntry, Rule]):
    """Rules by subject, pattern and a number among equals; a removed entry deletes its rule."""

    section = Section.ACL
    rows = Rule.objects.all()
    fields = ("subject_kind", "subject", "name", "actions", "comment", "is_deny", "tags", "networks", "until", "order")

    def __init__(self, configuration: Configuration) -> None:
        rules = configuration.acl or ()
        super().__init__(dict(self.keyed(rules, lambda rule: (rule.subject_kind, rule.subject, rule.name))))

    def content(self, entry: RuleEntry) -> object:
        return [",".join(entry.actions), entry.comment, *_listed(conditions_of(entry))]

    def row_content(self, row: Rule) -> object:
        return rule_content(row)

    def label(self, key: str, row: Rule | None) -> str:
        kind, subject, name, _ = json.loads(key)
        return f"rule {row}" if row is not None else f"rule of {f'{kind} {subject}'.strip()} for {name}"

    def filled(self, row: Rule | None, entry: RuleEntry) -> Rule:
        rule = row or Rule()
        rule.subject_kind, rule.subject, rule.name = entry.subject_kind, entry.subject, entry.name
        rule.actions, rule.comment = ",".join(entry.actions), entry.comment
        rule.is_deny, rule.tags, rule.networks = entry.is_deny, entry.tags, canonical(entry.networks)
        rule.until, rule.order = entry.until, entry.order
        return rule


def rule_content(row: Rule) -> object:
    """Return the fields of a rule that an administrator can edit, as JSON values."""
    return [row.subject_kind, row.subject, row.name, row.actions, row.comment, *_listed(conditions_of(row))]


def conditions_of(rule: Rule | RuleEntry) -> dict[str, object]:
    """Return the conditions that a rule has, by their keys in the file, as JSON values."""
    networks = rule.networks if isinstance(rule.networks, str) else canonical(rule.networks)
    until = until_text(rule.until) if rule.until else ""
    given = {"deny": rule.is_deny, "tags": rule.tags, "networks": networks, "until": until, "order": rule.order}
    return {name: value for name, value in given.items() if value}


def _listed(conditions: dict[str, object]) -> list[object]:
    # Ledgers of earlier versions have no such item.
    return [conditions] if conditions else []
