"""`manage.py migratestorage` of many small or few large blobs: `python -m bench.storage_copy --small 20000 --large 4`.

The copies: folder → folder, folder → SeaweedFS, each with a second run that finds everything there.
"""

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from bench.process_tree import field
from tests.ports import free_port
from tests.s3.servers import SeaweedFS, running

ROOT = Path(__file__).parents[1]
SMALL_BYTES = 10 * 1024
LARGE_BYTES = 512 * 1024 * 1024
MEBIBYTE = 1024 * 1024
_SAMPLE_SECONDS = 0.2


def main() -> None:
    """Fill a registry, copy it, and print a line for each copy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=20_000, help=f"blobs of {SMALL_BYTES} bytes")
    parser.add_argument("--large", type=int, default=4, help=f"blobs of {LARGE_BYTES} bytes")
    parser.add_argument("--folder", type=Path, help="where to work; by default a temporary folder")
    options = parser.parse_args()
    for count, size in ((options.small, SMALL_BYTES), (options.large, LARGE_BYTES)):
        if count:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                _measure(Path(folder), count, size)


def _measure(folder: Path, count: int, size: int) -> None:
    server = {"addr": f"127.0.0.1:{free_port()}", "data_directory": str(folder / "own")}
    storage = {"filesystem": {"rootdirectory": str(folder / "source")}}
    (folder / "config.yaml").write_text(yaml.safe_dump({"server": server, "storage": storage}))
    _manage(folder, "migrate", "--verbosity=0")
    _manage(folder, "shell", "-v0", "-c", f"from bench.storage_copy import fill; fill({count}, {size})")
    for name, target in _targets(folder):
        file = folder / "target.yaml"
        file.write_text(yaml.safe_dump({"storage": target}))
        for which in ("first", "again"):
            seconds, cpu, pss, said = _run(folder, "migratestorage", "--to", str(file))
            moved = f"{count / seconds:,.0f} objects/s, {count * size / MEBIBYTE / seconds:,.0f} MiB/s"
            used = f"{seconds:.1f} s, CPU {cpu:.1f} s, PSS {pss / MEBIBYTE:.0f} MiB"
            print(f"{count} x {size} bytes to {name}, {which}: {used}, {moved}")
            print(f"  load {os.getloadavg()[0]:.1f}; {said}", flush=True)


def _targets(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "a folder", {"filesystem": {"rootdirectory": str(folder / "target")}}
    (folder / "seaweedfs").mkdir()
    with _seaweedfs(folder / "seaweedfs") as options:
        yield "SeaweedFS", {"s3": options}


@contextmanager
def _seaweedfs(folder: Path) -> Iterator[dict[str, Any]]:
    with running(SeaweedFS(folder)) as server:
        yield server.options(server.make_bucket("copy"))


def _manage(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, str(ROOT / "manage.py"), *words], env=_environment(folder), cwd=ROOT, check=True)


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {"CONFIG_PATH": str(folder / "config.yaml"), "PYTHONPATH": str(ROOT)}


def _run(folder: Path, *words: str) -> tuple[float, float, int, str]:
    """Run a command; return its seconds, its seconds of CPU, its largest PSS and its first line."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_at, pss = time.monotonic(), 0
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), *words],
        env=_environment(folder),
        stdout=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None:
        time.sleep(_SAMPLE_SECONDS)
        pss = max(pss, field(process.pid, "smaps_rollup", "Pss"))
    seconds = time.monotonic() - began_at
    assert process.stdout is not None
    said = process.stdout.read()
    if process.returncode:
        raise SystemExit(said)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return seconds, cpu, pss, said.splitlines()[0]


def fill(count: int, size: int) -> None:
    """Make `count` blobs of `size` bytes in the configured registry, of which each links one."""
    from django.utils import timezone

    from distribution.models import Blob, Link, Repository
    from distribution.storage.blob_store import blob_store, new_key

    store = blob_store()
    store.prepare()
    folder = store.folder()
    assert folder is not None
    repository, _ = Repository.objects.get_or_create(name="bench/copied")
    for first in range(0, count, 1000):
        blobs = []
        for _ in range(first, min(first + 1000, count)):
            seed = uuid.uuid4().bytes
            content = (seed * (size // len(seed) + 1))[:size]
            blobs.append(Blob(digest=f"sha256:{hashlib.sha256(content).hexdigest()}", size=size, key=new_key()))
            (folder / blobs[-1].key).write_bytes(content)
        Blob.objects.bulk_create(blobs)
        now = timezone.now()
        Link.objects.bulk_create(
            [Link(repository=repository, blob=blob, last_used_at=now, is_unreferenced=True) for blob in blobs]
        )


if __name__ == "__main__":
    main()
