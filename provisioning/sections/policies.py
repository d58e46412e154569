"""The section `policies`: each entry of a list is a policy of that kind."""

import json
from typing import Any

from configuration import Configuration
from configuration.policies import PolicyEntry
from policies.models import Policy
from provisioning.models import Section
from provisioning.sections.section_import import SectionImport, set_columns


class Policies(SectionImport[PolicyEntry, Policy]):
    """Policies of one kind by their repositories and a number among equals; a removed entry deletes its policy."""

    def __init__(self, configuration: Configuration, kind: type[Policy]) -> None:
        self.kind, self.section, self.fields = kind, Section(kind.kind), kind.entered
        self.rows = kind._default_manager.all()  # noqa: SLF001 - Django documents it
        entries = configuration.policies.get(kind.kind, ())
        super().__init__(dict(self.keyed(entries, lambda entry: (entry.repositories,))))

    def content(self, entry: PolicyEntry) -> object:
        return entry.content

    def row_content(self, row: Policy) -> object:
        return policy_content(row)

    def label(self, key: str, row: Policy | None) -> str:
        name = str(self.kind._meta.verbose_name)  # noqa: SLF001
        return f"{name} {row}" if row is not None else f"{name} of {json.loads(key)[0]}"

    def filled(self, row: Policy | None, entry: PolicyEntry) -> Policy:
        policy = row or self.kind()
        set_columns(policy, self.fields, dict(entry.values))
        return policy


def policy_content(row: Policy) -> object:
    """Return the columns of a policy that an administrator can edit, as JSON values."""
    values: dict[str, Any] = {name: getattr(row, name) for name in row.entered}
    return {name: value if isinstance(value, str | int | None) else str(value) for name, value in values.items()}
