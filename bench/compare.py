"""Measure rows: the registries in turn, each warmed up before and each with the same load."""

import gc
import itertools
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
PROOF_SECONDS = 60
# More of them would push gigabytes for nothing.
WARM_UP_CONNECTIONS = 4


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
        """Measure row by row and yield each line when it is there; one that fails its proof is not measured."""
        for row in rows:
            peers = [peer for peer in self._peers if row.has_peer or peer.name == "ours"]
            proofs = {peer.name: self._proof(peer, row) for peer in peers}
            if any(proof.errors for proof in proofs.values()):
                yield _line(row, 1, **{name: [proof] for name, proof in proofs.items()})
                continue
            for connections in self._plan.connections:
                yield self._line(peers, row, connections)

    def _line(self, peers: Sequence[Peer], row: Row, connections: int) -> Line:
        for peer in peers:
            self._run(peer, row, min(connections, WARM_UP_CONNECTIONS), self._plan.warm_up_seconds)
        done: dict[str, list[Round]] = {peer.name: [] for peer in peers}
        for _ in range(self._plan.rounds):
            for peer in peers:
                done[peer.name].append(self._round(peer, row, connections))
        return _line(row, connections, **done)

    def _proof(self, peer: Peer, row: Row) -> Round:
        """Run the operation once and look at every answer as a whole."""
        load = self._run(peer, row, 1, PROOF_SECONDS, is_proof=True)
        return _round(load, len(load.latencies), 0.0, 0)

    def _round(self, peer: Peer, row: Row, connections: int) -> Round:
        process_tree.forget_peak(peer.pid)
        used = peer.cpu_seconds()
        load = self._run(peer, row, connections, self._plan.seconds)
        used = peer.cpu_seconds() - used
        amount = len(load.latencies) * (self._stock.large_blob.size / MB if row.is_large else 1)
        return _round(load, amount, used, process_tree.peak_resident(peer.pid))

    def _run(self, peer: Peer, row: Row, connections: int, seconds: float, *, is_proof: bool = False) -> Load:
        begin, most = row.build(Target(peer), self._stock), 1 if is_proof else self._plan.most
        begins = itertools.repeat(begin) if most is None else itertools.repeat(begin, most)
        run = Run(peer.address, lambda: _next(begins), connections=connections, seconds=seconds, is_proof=is_proof)
        gc.collect()
        gc.disable()
        try:
            return run()
        finally:
            gc.enable()
            self._clean(peer, row)

    def _clean(self, peer: Peer, row: Row) -> None:
        """Remove large blobs that were pushed: nobody reads them again, and the disk would fill.

        What the kernel has not written of them yet is dropped, so it is not written in the round of the other.
        """
        for file in _files(peer.objects) - self._kept if row.is_large else ():
            if file.stat().st_size >= self._stock.large_blob.size:
                file.unlink()


def _line(row: Row, connections: int, *, ours: Sequence[Round] = (), theirs: Sequence[Round] = ()) -> Line:
    unit = "MB" if row.is_large else "operations"
    return Line(row.name, unit, connections, row.ratio, row.rate, list(ours), list(theirs))


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
