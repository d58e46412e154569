"""What is said once an hour, by all processes of the server together."""

import os

from core.hourly import SECONDS, Hourly


def test_it_is_due_at_once_and_then_every_hour() -> None:
    now = [5.0]
    turn = Hourly(lambda: now[0])

    taken = []
    for moment in (5.0, 5.0, 5.0 + SECONDS - 1, 5.0 + SECONDS, 6.0 + SECONDS):
        now[0] = moment
        taken.append(turn.is_due())

    assert taken == [True, False, False, True, False]


def test_it_is_due_in_one_process_an_hour() -> None:
    turn = Hourly()
    pid = os.fork()
    if not pid:
        os._exit(0 if turn.is_due() else 1)

    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert not turn.is_due()
