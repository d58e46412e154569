"""What gunicorn's worker writes into the log."""

import logging

import pytest

from registry_project.pool import CrowdedError
from registry_project.worker import NoClientFaults


@pytest.mark.parametrize(
    ("error", "is_logged"),
    [
        (BlockingIOError("the client sent nothing for too long"), False),
        (TimeoutError("the client took nothing for too long"), False),
        (CrowdedError(), False),
        (OSError("no such device"), True),
        (ValueError("a bug"), True),
    ],
)
def test_a_client_that_stands_still_is_no_traceback(error: Exception, is_logged: bool) -> None:
    failure = (type(error), error, None)
    record = logging.LogRecord("gunicorn.error", logging.ERROR, "", 0, "Socket error", None, failure)

    assert NoClientFaults().filter(record) is is_logged


@pytest.mark.parametrize(
    ("message", "is_logged"),
    [("Invalid request from ip=127.0.0.1: bare LF as line terminator", False), ("Worker failed to boot.", True)],
)
def test_a_request_that_cannot_be_read_is_no_warning(message: str, is_logged: bool) -> None:
    record = logging.LogRecord("gunicorn.error", logging.WARNING, "", 0, message, None, None)

    assert NoClientFaults().filter(record) is is_logged
