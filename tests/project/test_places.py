"""Places for slow clients: shares and evictions."""

from dataclasses import dataclass

import pytest

from server.places import DECENT_BYTES_PER_SECOND, LEAST_SHARE, Places


@dataclass(eq=False)
class Wait:
    """A wait that takes note of being ended."""

    client: str
    rate: float = 0.0
    is_evicted: bool = False

    def progress(self) -> float:
        return self.rate

    def evict(self) -> None:
        self.is_evicted = True


def taken(places: Places, client: str, number: int) -> list[Wait]:
    """Take so many places for a client; fail when there are not as many."""
    waits = [Wait(client) for _ in range(number)]
    assert all(places.take(client, wait) for wait in waits)
    return waits


def full(*clients: str, each: int, most: int) -> tuple[Places, list[Wait]]:
    """Return places that are taken by these clients, and their waits."""
    places = Places(each * len(clients), most)
    return places, [wait for client in clients for wait in taken(places, client, each)]


def test_one_client_alone_takes_all() -> None:
    places, waits = full("greedy", each=40, most=10)

    assert not places.take("greedy", Wait("greedy"))
    assert not any(wait.is_evicted for wait in waits)


def test_a_client_with_less_than_its_share_gets_the_oldest_of_the_one_with_the_most() -> None:
    places = Places(40, most=10)
    fair, greedy = taken(places, "fair", 10), taken(places, "greedy", 30)

    taken(places, "newcomer", 1)

    assert [wait.is_evicted for wait in greedy] == [True] + [False] * 29
    assert not any(wait.is_evicted for wait in fair)


def test_the_slowest_wait_is_evicted_and_not_the_oldest() -> None:
    places, waits = full("greedy", each=40, most=10)
    for number, wait in enumerate(waits):
        wait.rate = 1000 - number

    taken(places, "newcomer", 1)

    assert [number for number, wait in enumerate(waits) if wait.is_evicted] == [39]


def test_a_fast_wait_is_never_evicted() -> None:
    places, waits = full("greedy", each=40, most=10)
    for wait in waits:
        wait.rate = DECENT_BYTES_PER_SECOND

    assert not places.take("newcomer", Wait("newcomer"))
    assert not any(wait.is_evicted for wait in waits)


def test_fast_waits_of_the_largest_client_do_not_protect_slow_ones_of_another() -> None:
    places = Places(60, most=10)
    fleet = taken(places, "fleet", 40)
    slow = taken(places, "slow", 20)
    for wait in fleet:
        wait.rate = DECENT_BYTES_PER_SECOND

    taken(places, "newcomer", 1)

    assert [wait.is_evicted for wait in slow] == [True] + [False] * 19
    assert not any(wait.is_evicted for wait in fleet)


def networks(number: int) -> list[str]:
    """Return so many networks of one site."""
    return [f"2001:db8:0:{each:x}::" for each in range(number)]


def test_an_ipv6_site_with_many_networks_keeps_no_client_out() -> None:
    places, waits = full(*networks(64), each=LEAST_SHARE, most=128)

    taken(places, "2001:db8:1::", 1)
    taken(places, "192.0.2.1", 1)
    taken(places, "", 1)

    assert sum(wait.is_evicted for wait in waits) == 3


def test_a_site_gets_no_more_by_another_network() -> None:
    places, waits = full(*networks(64), each=LEAST_SHARE, most=128)

    assert not places.take("2001:db8:0:ffff::", Wait("2001:db8:0:ffff::"))
    assert not any(wait.is_evicted for wait in waits)


def test_a_network_evicted_for_its_site_frees_no_place() -> None:
    places, waits = full(*networks(2), each=LEAST_SHARE, most=LEAST_SHARE)
    taken(places, "192.0.2.1", 1)
    (evicted,) = [wait for wait in waits if wait.is_evicted]

    assert not places.leave(evicted.client, evicted)
    assert sum(places.leave(wait.client, wait) for wait in waits) == 2 * LEAST_SHARE - 1


def test_a_client_gets_its_share_and_no_more() -> None:
    places, waits = full("greedy", each=40, most=10)

    taken(places, "newcomer", 10)

    assert not places.take("newcomer", Wait("newcomer"))
    assert sum(wait.is_evicted for wait in waits) == 10


def test_many_clients_have_smaller_shares() -> None:
    """An attacker with many addresses keeps nobody out by staying below a quarter with each."""
    places, waits = full(*map(str, range(20)), each=20, most=100)

    taken(places, "newcomer", 1)

    assert sum(wait.is_evicted for wait in waits) == 1


def test_a_full_server_of_small_clients_evicts_none() -> None:
    places, waits = full(*map(str, range(50)), each=LEAST_SHARE, most=100)

    assert not places.take("newcomer", Wait("newcomer"))
    assert not any(wait.is_evicted for wait in waits)


def test_an_unknown_client_loses_no_place() -> None:
    places, waits = full("", each=10, most=2)

    assert not places.take("newcomer", Wait("newcomer"))
    assert not any(wait.is_evicted for wait in waits)


def test_an_unknown_client_gets_a_place_like_a_new_one() -> None:
    places, waits = full("greedy", each=10, most=2)

    taken(places, "", 3)

    assert sum(wait.is_evicted for wait in waits) == 3


def test_a_place_that_was_left_is_free() -> None:
    places, waits = full("greedy", each=2, most=1)
    places.leave("greedy", waits[0])

    taken(places, "greedy", 1)


@pytest.mark.parametrize("client", ["greedy", ""])
def test_leaving_a_place_reports_that_it_was_kept(client: str) -> None:
    places, waits = full(client, each=2, most=1)

    assert [places.leave(client, wait) for wait in waits] == [True, True]


def test_leaving_after_an_eviction_frees_no_place() -> None:
    places, waits = full("greedy", each=2, most=1)
    (mine,) = taken(places, "newcomer", 1)

    assert not places.leave("greedy", waits[0])

    assert not places.take("greedy", Wait("greedy"))
    assert places.leave("newcomer", mine)
    taken(places, "greedy", 1)


def test_with_zero_places_every_client_is_refused() -> None:
    assert not Places(0, most=1).take("anybody", Wait("anybody"))
