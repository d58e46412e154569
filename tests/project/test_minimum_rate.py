"""A body that trickles is given up; one that is slow, or waits for the server, is not."""

import pytest

from server.reader import HEAD_SECONDS, MIN_BYTES_PER_SECOND, WINDOW_SECONDS, MinimumRate


class Line:
    """A connection that brings `size` bytes a read, each after `seconds` on a clock of its own."""

    def __init__(self, size: int, seconds: float) -> None:
        self.now = 0.0
        self.size = size
        self.seconds = seconds
        self.rate = MinimumRate(lambda: self.now)
        self.rate.expect_body()

    def read(self) -> None:
        with self.rate.waiting():
            self.now += self.seconds
        self.rate.count(self.size)

    def bring(self, reads: int) -> bool:
        """Read so often and tell whether the line was too slow at any time."""
        found = False
        for _ in range(reads):
            self.read()
            found = found or self.rate.is_too_slow()
        return found


def test_a_byte_now_and_then_is_too_slow() -> None:
    assert Line(size=1, seconds=5).bring(reads=12)


def test_it_has_its_time_before() -> None:
    assert not Line(size=1, seconds=5).bring(reads=11)


def test_the_least_that_is_acceptable_is_accepted_for_ever() -> None:
    assert not Line(size=MIN_BYTES_PER_SECOND, seconds=1).bring(reads=10 * int(WINDOW_SECONDS))


def test_a_burst_long_ago_excuses_nothing() -> None:
    line = Line(size=10**9, seconds=WINDOW_SECONDS)
    line.bring(reads=1)
    line.size, line.seconds = 1, 5

    assert line.bring(reads=12)


def test_time_that_the_server_takes_does_not_count() -> None:
    line = Line(size=1, seconds=0.1)
    for _ in range(10):
        line.read()
        line.now += 1000

    assert not line.rate.is_too_slow()


def test_a_client_that_sends_nothing_at_all_is_noticed_while_the_server_waits() -> None:
    line = Line(size=0, seconds=0)

    with line.rate.waiting():
        line.now += WINDOW_SECONDS
        is_noticed = line.rate.is_too_slow()

    assert is_noticed


@pytest.mark.parametrize(("seconds", "is_late"), [(HEAD_SECONDS, False), (HEAD_SECONDS + 0.1, True)])
def test_a_head_has_its_time_and_no_more(seconds: float, is_late: bool) -> None:
    line = Line(size=1, seconds=0)
    line.rate.expect_head()

    line.now += seconds

    assert line.rate.is_too_slow() is is_late


@pytest.mark.parametrize(("seconds", "progress"), [(0.001, 10_000), (1, 1000)])
def test_progress_is_what_came_in_the_time_that_was_waited(seconds: float, progress: float) -> None:
    line = Line(size=1000, seconds=seconds)
    for _ in range(10):
        line.read()
        line.now += 1000

    assert line.rate.progress() == pytest.approx(progress)


def test_while_a_body_is_waited_for_its_progress_falls() -> None:
    line = Line(size=1000, seconds=1)
    line.read()

    with line.rate.waiting():
        line.now += 9
        assert line.rate.progress() == 100


def test_half_a_head_is_no_progress_whatever_came_before() -> None:
    line = Line(size=10**9, seconds=1)
    line.read()
    line.rate.expect_head()

    assert line.rate.progress() == 0


def test_a_quiet_connection_is_no_late_head() -> None:
    line = Line(size=1, seconds=0)
    line.rate.expect_head()
    line.rate.expect_nothing()

    line.now += 1000

    assert not line.rate.is_too_slow()
