"""Measure the server's memory while one large blob goes up and comes down: `python -m bench.memory`.

A server of its own (SQLite, a temporary folder, loopback) takes the blob as docker sends it, by one chunked
PATCH in pieces of 32 KiB, and gives it back by one GET. The blob is made while it is sent, so the disk needs
room for it once. Exit status 1: a figure is above its limit, or other bytes came back.

`--storage s3` keeps the blobs in a SeaweedFS of its own, whose memory does not count, and pulls through the registry;
`--chunks 2` sends the blob by as many PATCHes. `--pushers 200` adds clients that have sent `--sent` KiB each of a
blob and stand still, and measures what the server holds then.

Two figures over the master and its workers, in MiB. RSS counts what processes share once for each, and its peak is
the kernel's own (VmHWM), which misses nothing. PSS counts shared pages once; its peak is sampled.

Idle is a server that has served small blobs before: the first requests of a worker load modules and part pages
from the master's, whatever their size. What it holds before any request stands beside it, as `started`. Within a minute
of its start a worker starts a process for what is due, and again whenever something is: `with jobs` is the most that
was seen while there was one, on the server that had served.
"""

import argparse
import hashlib
import http.client
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Any

from bench import process_tree
from tests.clients.server import Server
from tests.s3.servers import storage_of_this_process

MEBIBYTE = 1 << 20
PIECE_BYTES = 32 * 1024
REPOSITORY = "alice/large"
SAMPLE_SECONDS = 0.02
# The first worker answers before the last one is forked.
FORK_SECONDS = 2
# Workers look once a minute whether something is due.
JOB_SECONDS = 75
# S3 joins large chunks by copies before the upload ends.
ANSWER_SECONDS = 1800
# The server has read what the last client sent.
SETTLE_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of all processes of the server together."""

    rss: int
    pss: int


class Blob:
    """`size` bytes that no filesystem compresses, made piece by piece; `digest` once they were all read."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._sha256 = hashlib.sha256()

    def pieces(self, first: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes up to `end`; each piece begins with its offset, so that none is like another."""
        filling = Random(0).randbytes(PIECE_BYTES - 8)
        for offset in range(first, self.size if end is None else end, PIECE_BYTES):
            piece = (offset.to_bytes(8, "big") + filling)[: self.size - offset]
            self._sha256.update(piece)
            yield piece

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of what was read so far."""
        return f"sha256:{self._sha256.hexdigest()}"


def master(server: Server) -> int:
    """Return the process id of gunicorn's master."""
    assert server.process is not None
    return server.process.pid


def now(server: Server) -> Memory:
    """Return what the server holds at this moment, without the process for what is due."""
    pids = [master(server), *server.workers()]
    rss, pss = (sum(process_tree.field(pid, "smaps_rollup", name) for pid in pids) for name in ("Rss", "Pss"))
    return Memory(rss, pss)


def peak_rss(server: Server) -> int:
    """Return the sum of the largest RSS that each process ever had."""
    return sum(process_tree.field(pid, "status", "VmHWM") for pid in (master(server), *server.workers()))


def largest_with_jobs(server: Server) -> int | None:
    """Wait for the process that does what is due, and return the PSS of all at most while it runs; None without."""
    deadline, largest = time.monotonic() + JOB_SECONDS, None
    while time.monotonic() < deadline:
        pids = process_tree.pids(master(server))
        if len(pids) > 1 + len(server.workers()):
            largest = max(largest or 0, sum(process_tree.field(pid, "smaps_rollup", "Pss") for pid in pids))
        elif largest is not None:
            break
        time.sleep(SAMPLE_SECONDS)
    return largest


@contextmanager
def sampled_pss(server: Server) -> Iterator[list[int]]:
    """Collect the PSS from time to time while the block runs."""
    samples: list[int] = []
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.wait(SAMPLE_SECONDS):
            samples.append(now(server).pss)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield samples
    finally:
        is_over.set()
        sampler.join()


def call(server: Server, method: str, path: str, token: str, body: Any = None) -> http.client.HTTPConnection:
    """Send a request, chunked if `body` yields pieces, and return the connection with its answer waiting."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_SECONDS)
    headers = {"Authorization": f"Bearer {token}"}
    headers |= {"Transfer-Encoding": "chunked"} if body else {"Content-Length": "0"}
    connection.request(method, path, body, headers, encode_chunked=bool(body))
    return connection


def location_after(connection: http.client.HTTPConnection, status: HTTPStatus) -> str:
    """Read the answer, which must have `status`, and return its Location."""
    with closing(connection):
        response = connection.getresponse()
        body = response.read()
        if response.status != status:
            sys.exit(f"expected {status.value}, got {response.status}: {body.decode(errors='replace')}")
        return response.headers["Location"]


def push(server: Server, token: str, blob: Blob, chunks: int = 1) -> float:
    """Upload `blob` by as many PATCHes, and return the seconds that it took until the server has published it."""
    started = time.monotonic()
    start = call(server, "POST", f"/v2/{REPOSITORY}/blobs/uploads/", token)
    upload = location_after(start, HTTPStatus.ACCEPTED)
    # Whole pieces, which the digest is made of.
    step = -(-blob.size // chunks // PIECE_BYTES) * PIECE_BYTES
    for first in range(0, blob.size, step):
        chunk = blob.pieces(first, min(first + step, blob.size))
        upload = location_after(call(server, "PATCH", upload, token, chunk), HTTPStatus.ACCEPTED)
    location_after(call(server, "PUT", f"{upload}?digest={blob.digest}", token), HTTPStatus.CREATED)
    return time.monotonic() - started


def pull(server: Server, token: str, blob: Blob) -> float:
    """Download `blob` and return the seconds that it took; exit when other bytes came."""
    started, came = time.monotonic(), hashlib.sha256()
    with closing(call(server, "GET", f"/v2/{REPOSITORY}/blobs/{blob.digest}", token)) as connection:
        response = connection.getresponse()
        while piece := response.read(MEBIBYTE):
            came.update(piece)
    if f"sha256:{came.hexdigest()}" != blob.digest:
        sys.exit(f"the bytes that came back are not those of {blob.digest} (status {response.status})")
    return time.monotonic() - started


def warm_up(server: Server, token: str) -> None:
    """Push and pull small blobs, at once so that every worker has its share."""

    def exchange(size: int) -> None:
        blob = Blob(size)
        push(server, token, blob)
        pull(server, token, blob)

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(exchange, range(MEBIBYTE, MEBIBYTE + 64)))


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run found: seconds until the first answer, bytes."""

    start_seconds: float
    idle_pss: int
    largest_pss: int | None
    growth: int
    pushers_growth: int


@contextmanager
def standing_pushers(server: Server, token: str, number: int, sent: int) -> Iterator[None]:
    """Let clients stand still during the block, each with `sent` bytes of a blob that it has not finished."""
    piece = Random(1).randbytes(PIECE_BYTES)
    with ExitStack() as connections:
        for _ in range(number):
            upload = location_after(
                call(server, "POST", f"/v2/{REPOSITORY}/blobs/uploads/", token), HTTPStatus.ACCEPTED
            )
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
            connections.callback(connection.close)
            connection.putrequest("PATCH", upload)
            connection.putheader("Authorization", f"Bearer {token}")
            connection.putheader("Content-Length", str(1 << 30))
            connection.endheaders()
            for offset in range(0, sent, PIECE_BYTES):
                connection.send(piece[: sent - offset])
        time.sleep(SETTLE_SECONDS)
        yield


def measure_pushers(server: Server, idle: Memory, options: argparse.Namespace) -> int:
    """Print what the server holds beside clients that stand still, and return by how much that is more than idle."""
    token = server.token("alice", f"repository:{REPOSITORY}:pull,push")
    with standing_pushers(server, token, options.pushers, options.sent * 1024):
        held = now(server)
    growth = held.pss - idle.pss
    print(f"{options.pushers} pushers with {options.sent} KiB each: PSS {growth / MEBIBYTE:+.1f} MiB")
    return growth


def measure(server: Server, options: argparse.Namespace, start_seconds: float) -> Measured:
    """Push and pull a blob, print the figures, and return them."""
    size: int = options.size * MEBIBYTE
    started, token, blob = now(server), server.token("alice", f"repository:{REPOSITORY}:pull,push"), Blob(size)
    # The first job may be due before or after this, but within JOB_SECONDS of the start.
    with ThreadPoolExecutor(1) as watcher:
        watched = watcher.submit(largest_with_jobs, server)
        warm_up(server, token)
        largest = watched.result()
    idle = now(server)
    with sampled_pss(server) as pushing:
        push_seconds = push(server, token, blob, options.chunks)
    with sampled_pss(server) as pulling:
        pull_seconds = pull(server, token, blob)
    push_pss, pull_pss = (max(samples, default=idle.pss) for samples in (pushing, pulling))
    peak = Memory(peak_rss(server), max(push_pss, pull_pss))
    blob_size = f"{size // MEBIBYTE} MiB in {options.chunks} requests to {options.storage}"
    print(f"{blob_size}, {len(server.workers())} workers, {os.cpu_count()} cores, {blob.digest}")
    print(f"{'MiB':<8}{'started':>9}{'idle':>9}{'peak':>9}{'growth':>9}")
    print(row("RSS", started.rss, idle.rss, peak.rss, peak.rss - idle.rss))
    print(row("PSS", started.pss, idle.pss, peak.pss, peak.pss - idle.pss))
    print(f"PSS with jobs {largest / MEBIBYTE:.1f}" if largest else "no job was due")
    for verb, seconds, pss in (("push", push_seconds, push_pss), ("pull", pull_seconds, pull_pss)):
        print(f"{verb} {size / seconds / 1e6:.0f} MB/s, PSS {(pss - idle.pss) / MEBIBYTE:+.1f} MiB")
    print(f"first answer {start_seconds:.1f} s after the start")
    growth = max(peak.rss - idle.rss, peak.pss - idle.pss)
    pushers_growth = measure_pushers(server, idle, options) if options.pushers else 0
    return Measured(start_seconds, idle.pss, largest, growth, pushers_growth)


def row(name: str, *sizes: int) -> str:
    """Return a line of the table, with `sizes` in MiB."""
    return f"{name:<8}" + "".join(f"{size / MEBIBYTE:>9.1f}" for size in sizes)


def complaints(found: Measured, options: argparse.Namespace) -> list[str]:
    """Return which figures are above their limits."""
    checks = (
        (found.growth <= options.limit * MEBIBYTE, f"the peak is more than {options.limit} MiB above idle"),
        (max(found.idle_pss, found.largest_pss or 0) <= options.idle * MEBIBYTE, f"idle is above {options.idle} MiB"),
        (found.largest_pss is not None, "no job was due: what all hold beside one is not known"),
        (
            found.pushers_growth <= options.pushers_limit * MEBIBYTE,
            f"slow pushers take more than {options.pushers_limit} MiB",
        ),
        (found.start_seconds <= options.start, f"the first answer came after more than {options.start:g} s"),
    )
    return [message for is_kept, message in checks if not is_kept]


def main() -> int:
    """Measure as the command line says and return the exit status."""
    parser = argparse.ArgumentParser(description="Measure the server's memory during a large push and pull.")
    parser.add_argument("--size", type=int, default=1024, help="of the blob, in MiB (1024)")
    parser.add_argument("--limit", type=int, default=50, help="how far the peak may be above idle, in MiB (50)")
    parser.add_argument("--idle", type=int, default=200, help="what all may hold when idle, as PSS in MiB (200)")
    parser.add_argument("--start", type=float, default=3.0, help="in how many seconds the first answer comes (3)")
    parser.add_argument("--storage", choices=("filesystem", "s3"), default="filesystem", help="of the blobs")
    parser.add_argument("--chunks", type=int, default=1, help="by how many requests the blob is pushed (1)")
    parser.add_argument("--pushers", type=int, default=0, help="how many clients stand still beside (0)")
    parser.add_argument("--sent", type=int, default=256, help="what each of them has sent, in KiB (256)")
    parser.add_argument("--pushers-limit", type=int, default=200, help="what they may take together, in MiB (200)")
    options = parser.parse_args()
    storage = storage_of_this_process() if options.storage == "s3" else nullcontext()
    with storage, tempfile.TemporaryDirectory(prefix="registry-memory-") as folder:
        server = Server(Path(folder))
        try:
            begun = time.monotonic()
            server.start()
            start_seconds = time.monotonic() - begun
            time.sleep(FORK_SECONDS)
            found = measure(server, options, start_seconds)
        finally:
            server.stop()
    wrong = complaints(found, options)
    kept = (
        f"within {options.limit} MiB above idle, {options.idle} MiB when idle, {options.start:g} s to the first answer"
    )
    print("; ".join(wrong) or kept)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
