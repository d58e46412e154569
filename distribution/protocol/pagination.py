"""Keyset pagination of names in byte order, for tags and the catalog.

Source: OCI Distribution Specification v1.1, "Listing Tags".
"""

import json
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from django.http import QueryDict

from core.api.errors import ErrorCode, RegistryError, quoted
from distribution.protocol.spec import PAGE_MAX

SEPARATOR = '", "'
# The characters of names, none of which JSON escapes, and those of the separator.
_PLAIN = b' ",ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/'


@dataclass(frozen=True, slots=True)
class Page:
    """One page of names, and whether more follow."""

    names: list[str]
    has_more: bool

    @classmethod
    def of(cls, names: list[str], limit: int) -> "Page":
        """Return the first `limit` of `names`; the others only tell that more follow."""
        return cls(names[:limit], len(names) > limit)

    @property
    def json(self) -> str:
        """The names as a JSON array: the encoder takes several times as long."""
        text = SEPARATOR.join(self.names)
        is_plain = not text.encode("utf-8", "surrogatepass").translate(None, _PLAIN)
        if is_plain and self.names and text.count('"') == 2 * (len(self.names) - 1):
            return f'["{text}"]'
        return json.dumps(self.names)

    def link(self, path: str, limit: int) -> dict[str, str]:
        """Return the `Link` header (RFC 8288) to the next page, relative to this host; none on the last page."""
        if not self.has_more or not self.names:
            return {}
        return next_link(path, last=self.names[-1], n=limit)


def names_of(text: str | None) -> list[str]:
    """Return the names of a `string_agg` with spaces, which no name contains: one value is read faster than many rows.

    They are sorted here, since databases promise no order for it.
    """
    return sorted(text.split(" ")) if text else []


def next_link(path: str, **parameters: str | int | None) -> dict[str, str]:
    """Return a `Link` header (RFC 8288) to `path` with those of `parameters` that are not None."""
    given = {name: value for name, value in parameters.items() if value is not None}
    # A space as %20: some clients read `+` as a plus.
    query = urlencode(given, safe="", quote_via=quote)
    return {"Link": f'<{path}?{query}>; rel="next"'}


def page_limit(query: QueryDict) -> int:
    """Return the requested number of names, at most PAGE_MAX. Raises PAGINATION_NUMBER_INVALID."""
    text = query.get("n")
    if text is None or text == "":
        return PAGE_MAX
    if not (text.isascii() and text.isdigit()):
        raise RegistryError(ErrorCode.PAGINATION_NUMBER_INVALID, f"n is {quoted(text)}, not a number from 0 on")
    return min(int(text), PAGE_MAX) if len(text) < 10 else PAGE_MAX


def page_start(query: QueryDict) -> str:
    """Return the name after which the page starts; it need not exist. No name has a NUL: one ends it."""
    return query.get("last", "").partition("\0")[0].encode("utf-8", "replace").decode()
