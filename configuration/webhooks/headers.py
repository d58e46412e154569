"""The headers that a webhook may send beside its own."""

import re

MAX_HEADERS = 20
MAX_CHARACTERS = 4096
"""Of a value."""

NAME_EXPECTED = "a name of at most 100 letters, digits and -, with a letter first"
VALUE_EXPECTED = "printable ASCII characters, without a space at the beginning and the end"
NAME, VALUE = r"[A-Za-z][A-Za-z0-9-]{0,99}", r"[!-~](?:[ -~]*[!-~])?"
OWN_PREFIX = "x-registry-"

# Of one connection (RFC 9110, section 7.6.1), and what frames and describes the request.
_HOP_BY_HOP = (
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
)
_FRAMING = ("host", "content-length", "content-type", "content-encoding", "expect", "user-agent")


def wrong_name(name: str) -> str:
    """Return what is expected in place of the name of a header, "" if it may be sent."""
    if re.fullmatch(NAME, name) is None:
        return NAME_EXPECTED
    if name.lower() in _HOP_BY_HOP:
        return "another header: this one is about a single connection"
    if name.lower() in _FRAMING or name.lower().startswith(OWN_PREFIX):
        return "another header: the registry sets this one itself"
    return ""


def wrong_value(value: str) -> str:
    """Return what is expected in place of the value of a header, "" if it may be sent."""
    if len(value) > MAX_CHARACTERS:
        return f"at most {MAX_CHARACTERS} characters"
    return "" if re.fullmatch(VALUE, value) else VALUE_EXPECTED
