"""The configuration of an image: what its containers run with. Values that look secret are masked."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from web.document import list_of, object_of, text_of

# Lists of a page end here.
LISTED = 200
MASK = "••••••"
_SECRET = re.compile(r"pass(word|wd|phrase)?|secret|token|credential|api_?key|private|auth", re.IGNORECASE)
# The closing quote is optional: otherwise each unclosed one is followed to the end of the line again.
_ASSIGNED = re.compile(r"\b(\w++)=(\"[^\"]*+\"?|'[^']*+'?|[^\s\"']++)")


def settings_of(config: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield the settings that a configuration has, each with its lines."""
    values = {
        "Entrypoint": [" ".join(map(text_of, list_of(config.get("Entrypoint"))[:LISTED]))],
        "Command": [" ".join(map(text_of, list_of(config.get("Cmd"))[:LISTED]))],
        "User": [text_of(config.get("User"))],
        "Working directory": [text_of(config.get("WorkingDir"))],
        "Stop signal": [text_of(config.get("StopSignal"))],
        "Ports": sorted(map(text_of, islice(object_of(config.get("ExposedPorts")), LISTED))),
        "Volumes": sorted(map(text_of, islice(object_of(config.get("Volumes")), LISTED))),
        "Environment": [masked(line) for line in environment_of(config)],
    }
    for name, lines in values.items():
        if any(lines):
            yield name, lines


def environment_of(config: Mapping[str, Any]) -> list[str]:
    """Return the lines `NAME=value`, with their secrets."""
    return [text_of(line) for line in list_of(config.get("Env"))[:LISTED]]


def masked(line: str) -> str:
    """Return a line `NAME=value`, without the value if the name looks like that of a secret."""
    name, separator, value = line.partition("=")
    return f"{name}={MASK}" if separator and value and _SECRET.search(name) else line


def pairs_of(value: object) -> list[tuple[str, str]]:
    """Return the keys and strings of an object, sorted."""
    return sorted((text_of(key), text_of(item)) for key, item in islice(object_of(value).items(), LISTED))


def instruction(created_by: str) -> str:
    """Return a step of a history as its Dockerfile has it, with masked secrets."""
    line = created_by.removesuffix(" # buildkit").strip()
    if line.startswith("/bin/sh -c #(nop)"):
        line = line.removeprefix("/bin/sh -c #(nop)").strip()
    elif line.startswith("/bin/sh -c "):
        line = f"RUN {line.removeprefix('/bin/sh -c ').strip()}"
    elif line.startswith("RUN /bin/sh -c "):
        line = f"RUN {line.removeprefix('RUN /bin/sh -c ').strip()}"
    return _ASSIGNED.sub(lambda found: f"{found[1]}={MASK}" if _SECRET.search(found[1]) else found[0], line)
