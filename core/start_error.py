"""The error for a server that can't start."""


class StartError(Exception):
    """The server can't start; the message is one line that says what is wrong, where, and what to do."""
