"""The real clients and the real server that they talk to."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.program import Program, podman_in, skopeo_in
from tests.clients.server import Server

LOG_LINES = 50
LEFT_OUT = pytest.StashKey[list[str]]()

LogIn = Callable[[str], Program]


def missing_programs(item: pytest.Item) -> list[str]:
    """Return which of the programs that a test asks for are not installed."""
    named = [program for marker in item.iter_markers("client") for program in marker.args]
    return [program for program in named if where(program) is None]


def where(program: str) -> str | None:
    """Return the path of a program, which may be a package of requirements-dev.txt; None when it is not installed."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return shutil.which(program, path=os.pathsep.join(folders))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave a test out when its program is missing; with REGISTRY_REQUIRE_CLIENTS, fail it."""
    missing = missing_programs(item)
    if not missing:
        return
    message = f"not installed: {', '.join(missing)}"
    if os.environ.get("REGISTRY_REQUIRE_CLIENTS"):
        pytest.fail(message, pytrace=False)
    item.config.stash.setdefault(LEFT_OUT, []).append(",".join(missing))
    pytest.skip(message)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many tests were left out, so that a green run does not promise what it did not try."""
    left_out = config.stash.get(LEFT_OUT, [])
    if not left_out:
        return
    names = sorted({name for names in left_out for name in names.split(",")})
    tests = "1 client test" if len(left_out) == 1 else f"{len(left_out)} client tests"
    verb, pronoun = ("is", "it") if len(names) == 1 else ("are", "them")
    names_them = f"{', '.join(names)} {verb} not installed (make clients needs {pronoun})"
    terminalreporter.write_line(f"{tests} left out: {names_them}", yellow=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a registry for all client tests."""
    registry = Server(tmp_path_factory.mktemp("registry"))
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()


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


@pytest.fixture(scope="session")
def podman_storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where podman keeps its images, one for all tests since it takes long to make."""
    return tmp_path_factory.mktemp("podman")


@pytest.fixture
def podman(server: Server, podman_storage: Path, tmp_path_factory: pytest.TempPathFactory) -> LogIn:
    """Return a function that makes a podman logged in as the named account; `anonymous` has no login."""

    def logged_in(account: str) -> Program:
        program = podman_in(tmp_path_factory.mktemp(account), server.host, podman_storage)
        program.log_in(account)
        return program

    return logged_in
