"""The section `webhooks`: each entry is a webhook."""

import hashlib
from collections.abc import Mapping

from configuration import Configuration
from configuration.element import joined
from configuration.errors import Problem
from configuration.webhooks import WebhookEntry
from configuration.webhooks.entries import EVENTS
from provisioning.models import Section
from provisioning.sections.section_import import SectionImport, refusal_of
from webhooks import sealing
from webhooks.forms import FIELDS
from webhooks.models import Webhook, default_events


class Webhooks(SectionImport[WebhookEntry, Webhook]):
    """Webhooks by name; a removed entry deletes its webhook with the events that wait.

    The ledger has keyed hashes of secrets: they show a change, and that `server.secret_key` has changed, after which
    the secrets have to be encrypted again.
    """

    section = Section.WEBHOOKS
    rows = Webhook.objects.all()
    fields = (*FIELDS, "sealed_secret", "sealed_previous_secret", "previous_secret_until", "sealed_headers")

    def __init__(self, configuration: Configuration) -> None:
        self._path = configuration.path
        super().__init__({entry.name: entry for entry in configuration.webhooks or ()})

    def content(self, entry: WebhookEntry) -> object:
        return entry_content(entry)

    def row_content(self, row: Webhook) -> object:
        return webhook_content(row)

    def label(self, key: str, row: Webhook | None) -> str:
        return f"webhook {key}"

    def filled(self, row: Webhook | None, entry: WebhookEntry) -> Webhook:
        webhook = row or Webhook()
        for name, value in _columns(entry).items():
            setattr(webhook, name, value)
        if not webhook.sealed_secret or not _is_sealed(bytes(webhook.sealed_secret), entry.secret):
            webhook.set_secret(entry.secret)
        webhook.set_headers(dict(entry.headers))
        return webhook

    def problems(self) -> list[Problem]:
        """Return the entries that no webhook can be made of, and those with the name of one made in the admin."""
        problems, taken = [], self.taken("name")
        for key, entry in self._pending.items():
            place = (self._path, entry.line, joined("webhooks", entry.name))
            if key in taken:
                found = "a webhook of this name that was made in the admin"
                problems.append(Problem(*place, found, "another name, or that webhook deleted or renamed in the admin"))
            elif found := refusal_of(self.filled(None, entry)):
                problems.append(Problem(*place, found, "what the admin would take"))
        return problems


def entry_content(entry: WebhookEntry) -> dict[str, object]:
    """Return the entry as JSON values, with keyed hashes of its secrets."""
    headers = {name: sealing.keyed_hash(value) for name, value in entry.headers}
    return {**_columns(entry), "secret": sealing.keyed_hash(entry.secret), "headers": headers}


def webhook_content(row: Webhook) -> object:
    """Return the columns that an administrator can edit, as JSON values.

    What is encrypted is never the same twice: its hash tells whether a secret was set again.
    """
    sealed = [hashlib.sha256(bytes(one or b"")).hexdigest() for one in (row.sealed_secret, row.sealed_headers)]
    return [*(getattr(row, name) for name in FIELDS), *sealed]


def _columns(entry: WebhookEntry) -> Mapping[str, object]:
    events = default_events() if entry.events is None else [kind for kind in EVENTS if kind in entry.events]
    values = {name: getattr(entry, name) for name in FIELDS if name != "events"}
    return values | {"events": events}


def _is_sealed(sealed: bytes, secret: str) -> bool:
    try:
        return sealing.unseal(sealed) == secret
    except sealing.UnreadableSecretError:
        return False
