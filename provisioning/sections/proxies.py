"""The section `proxies`: each entry is a proxy, by its prefix."""

import hashlib
from typing import Any

from configuration import Configuration
from configuration.errors import Problem
from configuration.proxies import ProxyEntry
from provisioning.models import Section
from provisioning.sections.section_import import SectionImport, refusal_of, set_columns
from upstreams import sealing
from upstreams.models import Proxy


class Proxies(SectionImport[ProxyEntry, Proxy]):
    """Proxies by prefix; a removed entry deletes its proxy, and what was fetched stays."""

    section = Section.PROXIES
    rows = Proxy.objects.all()
    fields = (*Proxy.entered, "sealed_password")

    def __init__(self, configuration: Configuration) -> None:
        self._path = configuration.path
        super().__init__({entry.prefix: entry for entry in configuration.proxies or ()})

    def content(self, entry: ProxyEntry) -> object:
        return entry_content(entry)

    def row_content(self, row: Proxy) -> object:
        return proxy_content(row)

    def label(self, key: str, row: Proxy | None) -> str:
        return f"proxy {row}" if row is not None else f"proxy {key or 'of the whole registry'}"

    def filled(self, row: Proxy | None, entry: ProxyEntry) -> Proxy:
        proxy = row or Proxy()
        set_columns(proxy, Proxy.entered, dict(entry.values))
        proxy.set_password(entry.password)
        return proxy

    def problems(self) -> list[Problem]:
        """Return the entries that no proxy can be made of, and those with the prefix of one made in the admin."""
        problems, taken = [], self.taken("prefix")
        for key, entry in self._pending.items():
            place = (self._path, entry.line, "proxies")
            if key in taken:
                found = f"a proxy of {key or 'the whole registry'} that was made in the admin"
                problems.append(Problem(*place, found, "another prefix, or that proxy deleted in the admin"))
            elif found := refusal_of(self.filled(None, entry)):
                problems.append(Problem(*place, found, "what the admin would take"))
        return problems


def entry_content(entry: ProxyEntry) -> object:
    """Return the values of an entry as JSON values; of the password a keyed hash, so that nobody can guess at it."""
    return [dict(entry.values), sealing.keyed_hash(entry.password) if entry.password else ""]


def proxy_content(row: Proxy) -> object:
    """Return the columns of a proxy that an administrator can edit, as JSON values."""
    values: dict[str, Any] = {name: getattr(row, name) for name in row.entered}
    sealed = bytes(row.sealed_password or b"")
    return values | {"password": hashlib.sha256(sealed).hexdigest() if sealed else ""}
