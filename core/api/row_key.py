"""The primary key of a row in a request."""

LIMIT = 2**63
MAX_DIGITS = 19


def row_key(text: str) -> int:
    """Return the key; 0, which no row has, for what is no key or too large for a column."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
    return key if is_number and (key := int(text)) < LIMIT else 0
