"""The minimum rate of request heads and bodies."""

import pytest

from server.reader import HEAD_SECONDS, MIN_BYTES_PER_SECOND, WINDOW_SECONDS, MinimumRate


class SlowClient:
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
        """Read so often and tell whether the client was too slow at any time."""
        found = False
        for _ in range(reads):
            self.read()
            found = found or self.rate.is_too_slow()
        return found


def test_a_trickle_is_too_slow() -> None:
    assert SlowClient(size=1, seconds=5).bring(reads=12)


def test_a_client_has_the_whole_window() -> None:
    assert not SlowClient(size=1, seconds=5).bring(reads=11)


def test_a_client_at_the_least_rate_is_accepted_forever() -> None:
    assert not SlowClient(size=MIN_BYTES_PER_SECOND, seconds=1).bring(reads=10 * int(WINDOW_SECONDS))


def test_bytes_of_an_earlier_window_do_not_count() -> None:
    client = SlowClient(size=10**9, seconds=WINDOW_SECONDS)
    client.bring(reads=1)
    client.size, client.seconds = 1, 5

    assert client.bring(reads=12)


def test_time_of_the_server_does_not_count() -> None:
    client = SlowClient(size=1, seconds=0.1)
    for _ in range(10):
        client.read()
        client.now += 1000

    assert not client.rate.is_too_slow()


def test_a_silent_client_is_too_slow_while_the_server_waits() -> None:
    client = SlowClient(size=0, seconds=0)

    with client.rate.waiting():
        client.now += WINDOW_SECONDS
        is_noticed = client.rate.is_too_slow()

    assert is_noticed


@pytest.mark.parametrize(("seconds", "is_late"), [(HEAD_SECONDS, False), (HEAD_SECONDS + 0.1, True)])
def test_a_head_has_a_time_limit(seconds: float, is_late: bool) -> None:
    client = SlowClient(size=1, seconds=0)
    client.rate.expect_head()

    client.now += seconds

    assert client.rate.is_too_slow() is is_late


@pytest.mark.parametrize(("seconds", "progress"), [(0.001, 10_000), (1, 1000)])
def test_progress_is_the_rate_in_the_time_of_waiting(seconds: float, progress: float) -> None:
    client = SlowClient(size=1000, seconds=seconds)
    for _ in range(10):
        client.read()
        client.now += 1000

    assert client.rate.progress() == pytest.approx(progress)


def test_progress_falls_during_a_wait() -> None:
    client = SlowClient(size=1000, seconds=1)
    client.read()

    with client.rate.waiting():
        client.now += 9
        assert client.rate.progress() == 100


def test_an_incomplete_head_is_no_progress() -> None:
    client = SlowClient(size=10**9, seconds=1)
    client.read()
    client.rate.expect_head()

    assert client.rate.progress() == 0


def test_an_idle_connection_is_no_late_head() -> None:
    client = SlowClient(size=1, seconds=0)
    client.rate.expect_head()
    client.rate.expect_nothing()

    client.now += 1000

    assert not client.rate.is_too_slow()
