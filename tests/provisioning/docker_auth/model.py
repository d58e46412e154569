"""How docker_auth decides, written from its documentation and that of Go's packages path and regexp."""

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from itertools import product

from provisioning.docker_auth.document import Document, Entry

CONCRETE = ("pull", "push", "delete")
# Within a class, of ASCII.
_POSIX = {
    ":alpha:": "a-zA-Z",
    ":^alpha:": r"\x00-@\[-`{-\x7f",
    ":^digit:": r"\D",
    ":^lower:": r"\x00-`{-\x7f",
    ":^word:": r"\W",
}


def allowed(document: Document, account: str, name: str, ip: str, service: str = "registry") -> frozenset[str]:
    """Return the concrete actions on a repository; somebody whom the file does not know has no labels."""
    known = {user.name: dict(user.labels) for user in document.users}
    if not account and not any(not user.name and user.password is None for user in document.users):
        return frozenset()
    values = {"account": account, "type": "repository", "name": name, "service": service}
    for entry in document.entries:
        if _matches(entry, values, known.get(account, {}), ip):
            return frozenset(CONCRETE if entry.actions == ("*",) else set(entry.actions) & set(CONCRETE))
    return frozenset()


def _matches(entry: Entry, values: dict[str, str], labels: dict[str, tuple[str, ...]], ip: str) -> bool:
    fields = ((entry.account, "account"), (entry.type, "type"), (entry.name, "name"), (entry.service, "service"))
    if not all(_with_labels(pattern, values[of], values, labels) for pattern, of in fields):
        return False
    if entry.ip is not None and ip_address(ip) not in ip_network(entry.ip, strict=False):
        return False
    return all(any(_match(pattern, v, values, {}) for v in labels.get(label, ())) for label, pattern in entry.labels)


def _with_labels(pattern: str | None, text: str, values: dict[str, str], labels: dict[str, tuple[str, ...]]) -> bool:
    if pattern is None or _match(pattern, text, values, {}):
        return True
    used = [label for label in labels if f"${{labels:{label}}}" in pattern]
    combinations = product(*(labels[label] for label in used)) if used else ()
    return any(
        _match(pattern, text, values, {f"labels:{label}": value for label, value in zip(used, found, strict=True)})
        for found in combinations
    )


def _match(pattern: str, text: str, values: dict[str, str], labels: dict[str, str]) -> bool:
    given = {key: re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", value) for key, value in values.items()} | labels
    pattern = re.sub(r"\$\{([^}]*)\}", lambda found: given.get(found[1], found[0]), pattern)
    if len(pattern) > 2 and pattern[0] == pattern[-1] == "/":
        # In Go a $ is the end of the text alone.
        python = re.sub(r"(?<!\\)\$", r"\\Z", pattern[1:-1])
        return re.search(re.sub(r"\[(:\^?[a-z]+:)\]", lambda name: _POSIX[name[1]], python), text, re.ASCII) is not None
    return path_match(pattern, text)


def path_match(pattern: str, text: str) -> bool:
    """Match as Go's path.Match: by chunks, of which the first place behind a star that fits is taken."""
    try:
        return _path_match(pattern, text)
    except ValueError:
        return False


def _path_match(pattern: str, text: str) -> bool:
    while pattern:
        star, chunk, pattern = _chunk(pattern)
        if star and not chunk:
            return "/" not in text
        rest = _chunk_match(chunk, text)
        if rest is not None and (not rest or pattern):
            text = rest
            continue
        found = None
        for start in _starts(text) if star else ():
            rest = _chunk_match(chunk, text[start + 1 :])
            if rest is not None and (pattern or not rest):
                found = rest
                break
        if found is None:
            return False
        text = found
    return not text


def _starts(text: str) -> Iterator[int]:
    for position, character in enumerate(text):
        if character == "/":
            return
        yield position


def _chunk(pattern: str) -> tuple[bool, str, str]:
    stripped = pattern.lstrip("*")
    end, inside = 0, False
    while end < len(stripped):
        character = stripped[end]
        if character == "\\":
            end += 1
        elif character in "[]":
            inside = character == "["
        elif character == "*" and not inside:
            break
        end += 1
    return stripped != pattern, stripped[:end], stripped[end:]


def _chunk_match(chunk: str, text: str) -> str | None:  # noqa: C901 - as long as that of Go
    while chunk:
        if chunk[0] == "[":
            character, text = text[:1], text[1:]
            chunk, negated = (chunk[2:], True) if chunk[1:2] == "^" else (chunk[1:], False)
            matched, count = False, 0
            while not (chunk[:1] == "]" and count):
                low, chunk = _escaped(chunk)
                high = low
                if chunk[:1] == "-":
                    high, chunk = _escaped(chunk[1:])
                matched |= bool(character) and low <= character <= high
                count += 1
            chunk = chunk[1:]
            if not character or matched == negated:
                return None
            continue
        if chunk[0] == "?":
            if text[:1] in {"", "/"}:
                return None
        else:
            if chunk[0] == "\\":
                chunk = chunk[1:]
                if not chunk:
                    raise ValueError
            if text[:1] != chunk[0]:
                return None
        chunk, text = chunk[1:], text[1:]
    return text


def _escaped(chunk: str) -> tuple[str, str]:
    if not chunk or chunk[0] in "-]":
        raise ValueError
    chunk = chunk[1:] if chunk[0] == "\\" else chunk
    if len(chunk) < 2:
        raise ValueError
    return chunk[0], chunk[1:]
