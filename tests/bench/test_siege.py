"""A siege by few, for a second."""

from argparse import Namespace
from pathlib import Path

from bench.siege import Besieged, besiege


def test_an_honest_client_is_served_beside_a_few_hostile_ones(tmp_path: Path) -> None:
    server = Besieged(tmp_path)
    try:
        server.start()
        held = besiege(server, Namespace(seconds=1.0, readers=3, halves=3, guessers=2, quadratic=0, pause=1.0))
    finally:
        server.stop()

    assert held
