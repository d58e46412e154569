"""The section `proxies`: each entry is a proxy, by its prefix."""

import hashlib
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.crypto import salted_hmac

from configuration import Configuration
from configuration.errors import Problem
from configuration.proxies import ProxyEntry
from provisioning.models import Section
from provisioning.sections.section_import import SectionImport
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
        proxy, values = row or Proxy(), dict(entry.values)
        for name in Proxy.entered:
            default = Proxy._meta.get_field(name).get_default()  # type: ignore[union-attr]  # noqa: SLF001 - no relation
            setattr(proxy, name, values.get(name, default))
        proxy.set_password(entry.password)
        return proxy

    def problems(self) -> list[Problem]:
        """Return the entries with the prefix of a proxy made in the admin."""
        known = dict(Proxy.objects.values_list("prefix", "pk"))
        problems = []
        for key, entry in self._pending.items():
            record = self._records.get(key)
            if key in known and (record is None or record.row_id != known[key]):
                found = f"a proxy of {key or 'the whole registry'} that was made in the admin"
                expected = "another prefix, or that proxy deleted in the admin"
                problems.append(Problem(self._path, entry.line, "proxies", found, expected))
                continue
            try:
                proxy = self.filled(None, entry)
                proxy.clean_fields()
                proxy.clean()
            except ValidationError as error:
                found = f"one that is refused ({' '.join(error.messages)})"
                problems.append(Problem(self._path, entry.line, "proxies", found, "what the admin would take"))
        return problems


def entry_content(entry: ProxyEntry) -> object:
    """Return the values of an entry as JSON values; of the password a keyed hash, so that nobody can guess at it."""
    password = salted_hmac("provisioning.proxies", entry.password, algorithm="sha256").hexdigest()
    return [dict(entry.values), password if entry.password else ""]


def proxy_content(row: Proxy) -> object:
    """Return the columns of a proxy that an administrator can edit, as JSON values."""
    values: dict[str, Any] = {name: getattr(row, name) for name in row.entered}
    sealed = bytes(row.sealed_password or b"")
    return values | {"password": hashlib.sha256(sealed).hexdigest() if sealed else ""}
