"""Hold a lock or transaction in another thread, which has a database connection of its own."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from django.db import connection


@contextmanager
def in_other_thread(context: AbstractContextManager[None]) -> Iterator[None]:
    """Enter `context` in another thread, and leave it there at the end."""
    is_entered, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with context:
                is_entered.set()
                is_over.wait(60)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert is_entered.wait(60)
        yield
    finally:
        is_over.set()
        thread.join()
