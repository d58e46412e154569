"""What gunicorn's worker writes into the log."""

import logging

import pytest

from registry_project.worker import NoStandstill


@pytest.mark.parametrize(
    ("error", "is_logged"),
    [
        (BlockingIOError("the client sent nothing for too long"), False),
        (TimeoutError("the client took nothing for too long"), False),
        (OSError("no such device"), True),
        (ValueError("a bug"), True),
    ],
)
def test_a_client_that_stands_still_is_no_traceback(error: Exception, is_logged: bool) -> None:
    failure = (type(error), error, None)
    record = logging.LogRecord("gunicorn.error", logging.ERROR, "", 0, "Socket error", None, failure)

    assert NoStandstill().filter(record) is is_logged
