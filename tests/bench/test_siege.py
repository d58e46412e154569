"""A siege by few, for a second."""

from argparse import Namespace
from pathlib import Path

from bench.siege import Besieged, besiege


def test_an_honest_client_is_served_beside_a_few_hostile_ones(tmp_path: Path) -> None:
    server = Besieged(tmp_path)
    try:
        server.start()
        few = {"readers": 3, "halves": 3, "guessers": 2, "quadratic": 0}
        # How fast it is on this machine, which does something else as well, is not asked.
        held = besiege(server, Namespace(seconds=1.0, pause=1.0, limit=60.0, **few))
    finally:
        server.stop()

    assert held
