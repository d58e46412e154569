"""Errors that end a copy."""


class CopyError(Exception):
    """The copy is impossible; the text says what is wrong, where, and what to do."""


class InUseError(CopyError):
    """Another copy is running."""
