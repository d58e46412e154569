"""Errors of a copy: those that end it, and those that leave one thing out."""


class CopyError(Exception):
    """The copy is impossible; the text says what is wrong, where, and what to do."""


class LeftOutError(Exception):
    """One tag, manifest or blob can't be copied; the text says why."""


class VanishedError(Exception):
    """Rows that a batch counted on were removed meanwhile: the batch is repeated."""
