"""The newest of several replicas' configuration files: only that one is imported.

    file ──> changed since its own last import?  ── yes ──────────────────────> it is the newest, import it
                └─ no ──> another file with other content imported since?  ── no ──> import it again
                            └─ yes ──> it is superseded

The times of files tell nothing: a copy, a checkout or a volume sets them. Each import is recorded instead, so replicas
with different files do not import them in turn whenever one restarts.
"""

import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Self

from django.db.models import QuerySet
from django.db.models.functions import Now

from configuration import Configuration
from configuration.values import RuleEntry, UserEntry
from provisioning.models import ImportedFile
from provisioning.sections import proxies, webhooks
from provisioning.sections.rules import conditions_of
from provisioning.sections.section_import import fingerprint

# Containers have a new host name whenever they are made.
MAX_RECORDS = 100
_SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True)
class File:
    """A configuration file: its place, `host:path`, and the fingerprint of its users and rules."""

    place: str
    fingerprint: str

    @classmethod
    def of(cls, configuration: Configuration) -> Self | None:
        """Return the file; None means that it manages no rows."""
        sections = (configuration.users, configuration.acl, configuration.webhooks, configuration.proxies)
        has_rows = any(section is not None for section in sections) or configuration.policies
        if configuration.path is None or not has_rows:
            return None
        # Not resolved: Kubernetes swaps a link whenever a ConfigMap changes.
        place = f"{socket.gethostname()}:{configuration.path.absolute()}"
        content: list[object] = [_entries(configuration.users), _entries(configuration.acl)]
        if configuration.policies:
            policies = configuration.policies.items()
            content.append({kind: sorted(fingerprint(entry.content) for entry in some) for kind, some in policies})
        if configuration.webhooks is not None:
            content.append(
                sorted(fingerprint([hook.name, webhooks.entry_content(hook)]) for hook in configuration.webhooks)
            )
        if configuration.proxies is not None:
            content.append(sorted(fingerprint(proxies.entry_content(entry)) for entry in configuration.proxies))
        return cls(place[-ImportedFile.MAX_PLACE :], fingerprint(content))

    def superseding(self) -> ImportedFile | None:
        """Return the newer import of another file, None when this file may be imported."""
        newest = _newest()
        if newest is None or newest.place == self.place or newest.fingerprint == self.fingerprint:
            return None
        own = self._own()
        # A host that is not known may be an old container made anew: content that was imported before is not new.
        known = own if own.exists() else ImportedFile.objects.all()
        return newest if known.filter(fingerprint=self.fingerprint).exists() else None

    def record(self) -> ImportedFile | None:
        """Make this the newest file; return another one with other content, which was the newest."""
        newest = _newest()
        is_other = newest is not None and newest.fingerprint != self.fingerprint
        if newest is None or is_other or not self._own(fingerprint=self.fingerprint):
            self._own().delete()
            # The primary key tells the order, which no clock has to.
            ImportedFile.objects.create(place=self.place, fingerprint=self.fingerprint, imported_at=Now())
            old = ImportedFile.objects.order_by("-pk").values_list("pk", flat=True)[MAX_RECORDS:]
            ImportedFile.objects.filter(pk__in=list(old)).delete()
        return newest if newest is not None and is_other and newest.place != self.place else None

    def superseded(self, newer: ImportedFile) -> str:
        """Return a warning that the file is not imported, since `newer` was imported later."""
        own = self._own().first() or ImportedFile.objects.filter(fingerprint=self.fingerprint).latest("pk")
        return (
            f"users and rules are not imported from {described(own)}: the file has not changed since, and "
            f"{described(newer)} is newer. Make the files equal, or run `manage.py loadconfig` to import this one"
        )

    def _own(self, **conditions: str) -> QuerySet[ImportedFile]:
        return ImportedFile.objects.filter(place=self.place, **conditions)


def described(record: ImportedFile) -> str:
    """Return a record as `host:path (fingerprint …, imported …)`."""
    imported_at = record.imported_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{record.place} (fingerprint {record.fingerprint[:_SHOWN_DIGITS]}, imported {imported_at})"


def _newest() -> ImportedFile | None:
    return ImportedFile.objects.order_by("pk").last()


def _entries(entries: Iterable[UserEntry | RuleEntry] | None) -> list[str] | None:
    """Return the fingerprint of each entry, in any order of the file; None without the section."""
    if entries is None:
        return None
    return sorted(fingerprint(_content(entry)) for entry in entries)


def _content(entry: UserEntry | RuleEntry) -> dict[str, object]:
    """Return the entry as JSON values, without its line and without keys of later versions that it does not have.

    So the fingerprint of a file from before those keys stays.
    """
    content = {name: value for name, value in asdict(entry).items() if name != "line" and value is not None}
    if isinstance(entry, RuleEntry):
        of_rule = ("subject_kind", "subject", "name", "actions", "comment")
        content = {name: content[name] for name in of_rule} | conditions_of(entry)
    return content
