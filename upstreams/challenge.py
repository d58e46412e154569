"""Challenges: the header WWW-Authenticate (RFC 9110, section 11.6.1) as registries send it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

# No registry sends as much, and the patterns take a square of it.
MAX_CHARACTERS, MAX_CHALLENGES = 4096, 8
_SCHEME = re.compile(r"[\s,]*([A-Za-z]+)(?=\s|$)(?!\s*=)")
_PARAMETER = re.compile(r"[\s,]*([A-Za-z_]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"]+))")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme, in lower case, with its parameters."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse(headers: Iterable[str]) -> list[Challenge]:
    """Return the challenges, up to the first that can't be read."""
    found: list[Challenge] = []
    for header in [header[:MAX_CHARACTERS] for header in islice(headers, MAX_CHALLENGES)]:
        at = 0
        while scheme := _SCHEME.match(header, at):
            challenge = Challenge(scheme[1].lower())
            at = scheme.end()
            while parameter := _PARAMETER.match(header, at):
                quoted = parameter[2]
                value = parameter[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                challenge.parameters.setdefault(parameter[1].lower(), value)
                at = parameter.end()
            found.append(challenge)
    return found
