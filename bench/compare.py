"""Measure rows: the registries in turn, each warmed up before and each with the same load."""

import gc
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import process_tree
from bench.figures import Line, Round
from bench.load import Begin, Load, Run
from bench.peers import Peer
from bench.request import Operation
from bench.rows import Row, Stock
from bench.target import Target

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured. `most` is the largest number of operations of a round, None for no limit."""

    connections: Sequence[int] = (1, 4, 32)
    rounds: int = 3
    seconds: float = 1.5
    warm_up_seconds: float = 0.3
    most: int | None = None


class Comparison:
    """Registries that hold the same, and what is measured with them."""

    def __init__(self, peers: Sequence[Peer], stock: Stock, plan: Plan) -> None:
        """Take registries that were filled; what they hold now, they keep."""
        self._peers = peers
        self._stock = stock
        self._plan = plan
        self._kept = {file for peer in peers for file in _files(peer.objects)}

    def lines(self, rows: Iterable[Row]) -> Iterator[Line]:
        """Measure row by row and yield each line when it is there."""
        for row in rows:
            peers = [peer for peer in self._peers if row.has_peer or peer.name == "ours"]
            for peer in peers:
                self._prove(peer, row)
            for connections in self._plan.connections:
                yield self._line(peers, row, connections)

    def _line(self, peers: Sequence[Peer], row: Row, connections: int) -> Line:
        line = Line(row.name, "MB" if row.is_large else "operations", connections, row.ratio, row.rate)
        for peer in peers:
            self._run(peer, row, connections, self._plan.warm_up_seconds)
        for _ in range(self._plan.rounds):
            for peer in peers:
                rounds = line.ours if peer.name == "ours" else line.theirs
                rounds.append(self._round(peer, row, connections))
        return line

    def _prove(self, peer: Peer, row: Row) -> None:
        """Run the operation once and look at every answer as a whole; exit when one is not what it has to be."""
        begins = itertools.islice(itertools.repeat(row.build(Target(peer), self._stock)), 1)
        load = Run(peer.address, lambda: _next(begins), connections=1, seconds=60, is_proof=True)()
        self._clean(peer, row)
        if load.errors:
            raise SystemExit(f"{row.name}, {peer.name}: {next(iter(load.errors))}")

    def _round(self, peer: Peer, row: Row, connections: int) -> Round:
        process_tree.forget_peak(peer.pid)
        used = process_tree.cpu_seconds(peer.pid)
        load = self._run(peer, row, connections, self._plan.seconds)
        used = process_tree.cpu_seconds(peer.pid) - used
        amount = len(load.latencies) * (self._stock.large_blob.size / MB if row.is_large else 1)
        return _round(load, amount, used, process_tree.peak_resident(peer.pid))

    def _run(self, peer: Peer, row: Row, connections: int, seconds: float) -> Load:
        begin = row.build(Target(peer), self._stock)
        begins = itertools.repeat(begin) if self._plan.most is None else itertools.repeat(begin, self._plan.most)
        gc.collect()
        gc.disable()
        try:
            return Run(peer.address, lambda: _next(begins), connections=connections, seconds=seconds)()
        finally:
            gc.enable()
            self._clean(peer, row)

    def _clean(self, peer: Peer, row: Row) -> None:
        """Remove large blobs that were pushed: nobody reads them again, and the disk would fill.

        What other rounds left to be written is written before the next one.
        """
        if row.is_large:
            for file in _files(peer.objects) - self._kept:
                if file.stat().st_size >= self._stock.large_blob.size:
                    file.unlink()
        os.sync()


def _next(begins: Iterator[Begin]) -> Operation | None:
    begin = next(begins, None)
    return None if begin is None else begin()


def _files(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*") if file.is_file()}


def _round(load: Load, amount: float, cpu_seconds: float, peak: int) -> Round:
    latencies = sorted(load.latencies)
    return Round(
        amount,
        load.seconds,
        cpu_seconds,
        percentile(latencies, 50),
        percentile(latencies, 99),
        peak,
        load.generator_seconds,
        load.reconnects,
        dict(load.errors),
    )


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return a percentile of ordered seconds in milliseconds (nearest rank), 0 when there are none."""
    if not ordered:
        return 0.0
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] * 1000
