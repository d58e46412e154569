"""Why the server does not start."""


class StartError(Exception):
    """The server can't start; the text is one line that says what is wrong, where, and what to do."""
