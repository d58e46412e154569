"""Headers of requests that an administrator sets, as Authorization: encrypted, and never shown again."""

import json
from collections.abc import Iterable, Mapping

from django.core.exceptions import ValidationError

from configuration.webhooks import headers
from webhooks import sealing

_LEAST_HIDDEN = 4
"""Characters: shorter strings are everywhere."""


def seal(values: Mapping[str, str]) -> bytes | None:
    """Return headers as they are stored, None for none."""
    return sealing.seal(json.dumps(dict(values))) if values else None


def unseal(sealed: bytes | memoryview | None) -> dict[str, str]:
    """Return the headers. Raises UnreadableSecretError."""
    if not sealed:
        return {}
    found: dict[str, str] = json.loads(sealing.unseal(bytes(sealed)))
    return found


def parse(lines: str) -> dict[str, str | None]:
    """Return headers from lines of `Name: value`; without a value, None takes a header away. Raises ValidationError."""
    found: dict[str, str | None] = {}
    for line in filter(str.strip, lines.splitlines()):
        name, colon, value = line.partition(":")
        if not colon:
            raise ValidationError("Each line is a header as `Name: value`.")
        if name.strip() in found:
            raise ValidationError(f"{name.strip()!a} is there twice.")
        found[name.strip()] = value.strip() or None
    return found


def merged(current: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return the headers after changes, of which None takes one away. Raises ValidationError."""
    found = {name.lower(): (name, value) for name, value in current.items()}
    for name, value in changes.items():
        if wrong := headers.wrong_name(name):
            raise ValidationError(f"{name!a} is no header to set: expected {wrong}.")
        if value is None:
            found.pop(name.lower(), None)
            continue
        if wrong := headers.wrong_value(value):
            raise ValidationError(f"The value of {name} is not {wrong}.")
        found[name.lower()] = (name, value)
    if len(found) > headers.MAX_HEADERS:
        raise ValidationError(f"A webhook has at most {headers.MAX_HEADERS} headers.")
    return dict(sorted(found.values()))


def hidden(text: str, secrets: Iterable[str]) -> str:
    """Return what a receiver answered without the values that it was sent: some repeat the request.

    A value is hidden without its scheme too, and its beginning at the end of a text that was cut off.
    """
    parts = {part for secret in secrets for part in (secret, secret.rpartition(" ")[2]) if len(part) >= _LEAST_HIDDEN}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "…")
        for size in range(min(len(part) - 1, len(text)), _LEAST_HIDDEN - 1, -1):
            if text.endswith(part[:size]):
                text = text[:-size] + "…"
                break
    return text
