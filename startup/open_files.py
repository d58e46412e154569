"""How many files and connections a process may have open."""

import resource


def allow_all() -> None:
    """Raise the limit of open files as far as it goes: a worker with many slow clients exceeds the usual 1024.

    What this process starts inherits it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
