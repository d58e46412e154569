"""The real clients and the real server that they talk to."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.clients.program import Program, podman_in, skopeo_in
from tests.clients.server import Server, started

LOG_LINES = 50

LogIn = Callable[[str], Program]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a registry for all client tests."""
    registry = Server(tmp_path_factory.mktemp("registry"))
    with started(registry):
        yield registry


@pytest.fixture(autouse=True)
def server_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print what the server logged during a test that uses it: pytest shows it when the test failed."""
    if "server" not in request.fixturenames:
        yield
        return
    server: Server = request.getfixturevalue("server")
    start = server.log_file.stat().st_size
    yield
    with server.log_file.open("rb") as log:
        log.seek(start)
        lines = log.read().decode(errors="replace").splitlines()
    sys.stdout.write("\n".join(lines[-LOG_LINES:]))


@pytest.fixture
def skopeo(server: Server, tmp_path_factory: pytest.TempPathFactory) -> LogIn:
    """Return a function that makes a skopeo logged in as the named account; `anonymous` has no login."""

    def logged_in(account: str) -> Program:
        program = skopeo_in(tmp_path_factory.mktemp(account), server.host)
        program.log_in(account)
        return program

    return logged_in


@pytest.fixture
def policies(server: Server) -> Iterator[Callable[[str], None]]:
    """Return a function that has the server run a line about `policies.models`; what it makes is deleted later."""

    def run(line: str) -> None:
        imported = "from policies.models import ImmutableTags, Quota, ReadOnly"
        server.does("shell", "--no-imports", "-c", f"{imported}; {line}")

    yield run
    run("[kind.objects.filter(repositories='alice/limited').delete() for kind in (ImmutableTags, Quota, ReadOnly)]")


@pytest.fixture(scope="session")
def podman_storage() -> Iterator[Path]:
    """Return the folder where podman keeps its images, one for all tests since it takes long to make."""
    # Its runroot is a path of at most 50 characters, which pytest's own may exceed.
    with TemporaryDirectory(prefix="podman-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def podman(server: Server, podman_storage: Path, tmp_path_factory: pytest.TempPathFactory) -> LogIn:
    """Return a function that makes a podman logged in as the named account; `anonymous` has no login."""

    def logged_in(account: str) -> Program:
        program = podman_in(tmp_path_factory.mktemp(account), server.host, podman_storage)
        program.log_in(account)
        return program

    return logged_in
