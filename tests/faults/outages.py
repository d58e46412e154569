"""Ways in which what a registry needs goes away, and comes back: one a row of the table in docs/operations.md."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.faults.registry import Registry
from tests.faults.unwritable import full, locked, read_only_for_good, read_only_server, volume
from tests.postgresql import cluster


class Roomy(Registry):
    """A server that does not mind how full the disk of this machine is."""

    def configuration(self) -> dict[str, object]:
        storage = {"filesystem": {"rootdirectory": str(self.data)}, "min_free": "0"}
        return super().configuration() | {"storage": storage}


@dataclass(frozen=True)
class Outage:
    """A registry to be started, and the context in which something that it needs is away."""

    registry: Registry
    away: Callable[[], AbstractContextManager[None]]
    is_for_good: bool = False


@contextmanager
def nothing(folder: Path) -> Iterator[Outage]:
    """Let all be well."""
    yield Outage(Roomy(folder), nullcontext)


@contextmanager
def full_disk(folder: Path) -> Iterator[Outage]:
    """Let another program fill the disk of the database and the storage."""
    with _on_volume(folder) as registry:
        yield Outage(registry, partial(full, registry))


@contextmanager
def read_only_disk(folder: Path) -> Iterator[Outage]:
    """Let the file system of the database and the storage turn read-only."""
    with _on_volume(folder) as registry:
        yield Outage(registry, partial(read_only_for_good, registry), is_for_good=True)


@contextmanager
def _on_volume(folder: Path) -> Iterator[Registry]:
    """Make a server that keeps free on a small disk what it does by default; its log lies elsewhere."""
    with volume(folder) as disk:
        home = disk / "registry"
        home.mkdir()
        registry = Registry(home)
        registry.log_file = folder / "server.log"
        yield registry


@contextmanager
def held_lock(folder: Path) -> Iterator[Outage]:
    """Let another program write to SQLite for long."""
    registry = Roomy(folder)
    yield Outage(registry, partial(locked, registry))


@contextmanager
def gone_storage(folder: Path) -> Iterator[Outage]:
    """Let the folder of the storage vanish, as one of a server that is away."""
    registry = Roomy(folder)

    @contextmanager
    def gone() -> Iterator[None]:
        elsewhere = registry.data.rename(folder / "elsewhere")
        yield
        elsewhere.rename(registry.data)

    yield Outage(registry, gone)


@contextmanager
def read_only_postgresql(folder: Path) -> Iterator[Outage]:
    """Let the database refuse writes, as a standby does."""
    # The whole server does, which others may use at the same time.
    with cluster() as postgresql, pytest.MonkeyPatch.context() as patched:
        patched.setenv("REGISTRY_DATABASE_URL", f"{postgresql.url}/postgres")
        registry = Roomy(folder)
        yield Outage(registry, partial(read_only_server, registry))


@contextmanager
def gone_postgresql(folder: Path) -> Iterator[Outage]:
    """Stop the server, and start it again."""
    with cluster() as postgresql, pytest.MonkeyPatch.context() as patched:
        patched.setenv("REGISTRY_DATABASE_URL", f"{postgresql.url}/postgres")

        @contextmanager
        def gone() -> Iterator[None]:
            postgresql.stop()
            yield
            postgresql.start()

        yield Outage(Roomy(folder), gone)
