"""A check that many ask for: it runs once, and one that hangs holds nobody up."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.shared_check import SharedCheck

LONG, SHORT = 60.0, 0.01


class Disk:
    """Something to check that answers when it is let go; `asked` counts the questions."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()

    def answer(self) -> str:
        self.asked += 1
        self.is_asked.set()
        self.may_answer.wait(LONG)
        return "ok"


@pytest.fixture
def hanging_disk() -> Iterator[Disk]:
    """Hang until the test lets go, or ends."""
    hanging_disk = Disk()
    yield hanging_disk
    hanging_disk.may_answer.set()


def test_all_who_ask_at_once_share_one_result(hanging_disk: Disk) -> None:
    check = SharedCheck(hanging_disk.answer, "late", LONG, fresh_seconds=LONG)

    with ThreadPoolExecutor(8) as crowd:
        asking = [crowd.submit(check.result) for _ in range(8)]
        hanging_disk.is_asked.wait(LONG)
        hanging_disk.may_answer.set()
        results = [each.result() for each in asking]

    assert (results, hanging_disk.asked) == (["ok"] * 8, 1)


def test_a_check_that_hangs_is_late_for_everybody_and_runs_once(hanging_disk: Disk) -> None:
    check = SharedCheck(hanging_disk.answer, "late", SHORT)

    results = [check.result() for _ in range(20)]

    assert hanging_disk.is_asked.wait(LONG)
    assert (results, hanging_disk.asked) == (["late"] * 20, 1)


def test_a_check_that_hung_says_how_it_is_once_it_has_ended(hanging_disk: Disk) -> None:
    check = SharedCheck(hanging_disk.answer, "late", SHORT, fresh_seconds=LONG)
    assert check.result() == "late"

    hanging_disk.may_answer.set()
    while (result := check.result()) == "late":
        time.sleep(SHORT)

    assert (result, hanging_disk.asked) == ("ok", 1)


def test_a_check_for_which_there_is_no_thread_is_late_and_tried_again(
    hanging_disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging_disk.may_answer.set()
    check = SharedCheck(hanging_disk.answer, "late", LONG)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        then = check.result()

    assert (then, check.result()) == ("late", "ok")


def test_an_old_result_is_asked_for_again(hanging_disk: Disk) -> None:
    hanging_disk.may_answer.set()
    check = SharedCheck(hanging_disk.answer, "late", LONG)

    assert [check.result(), check.result()] == ["ok", "ok"]
    assert hanging_disk.asked == 2
