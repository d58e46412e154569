"""The registry behind nginx with TLS, each configured as docs/deployment.md says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.browser import Browser
from tests.clients.layouts import image, random_layer
from tests.clients.nginx import Proxied, nginx, proxied_server
from tests.clients.program import Program, login_file

pytestmark = pytest.mark.client("nginx", "openssl")

# More than the largest body that nginx takes, and than it keeps in memory, when it is not told otherwise.
LARGE = 8 << 20


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """Run a registry that expects nginx in front."""
    with proxied_server(tmp_path_factory.mktemp("proxied")) as server:
        yield server


@pytest.fixture(scope="module")
def error_log(registry: Proxied, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run nginx in front of the registry; what it complains about is in this file."""
    with nginx(registry, tmp_path_factory.mktemp("nginx")) as log:
        yield log


@pytest.fixture
def alice(registry: Proxied, error_log: Path, tmp_path: Path) -> Program:
    """Log in with a skopeo that trusts the certificate."""
    settings = {"REGISTRY_AUTH_FILE": str(login_file(tmp_path)), "SSL_CERT_FILE": str(registry.certificate)}
    skopeo = Program(("skopeo", "--insecure-policy"), registry.public_host, settings)
    skopeo.log_in("alice")
    return skopeo


@pytest.fixture
def browser(registry: Proxied, error_log: Path) -> Browser:
    """Open a browser at the public address."""
    return Browser(f"https://{registry.public_host}", registry.tls)


@pytest.mark.client("skopeo")
def test_a_large_layer_goes_through_and_comes_back(alice: Program, tmp_path: Path) -> None:
    source = image(tmp_path / "image", random_layer(LARGE))
    alice.run("copy", "--preserve-digests", source.reference("v1"), alice.docker("alice/large:v1"))

    alice.run("copy", "--preserve-digests", alice.docker("alice/large:v1"), f"oci:{tmp_path}/pulled:v1")

    pulled = {f"sha256:{file.name}": file.read_bytes() for file in tmp_path.glob("pulled/blobs/sha256/*")}
    assert pulled == source.blobs()


@pytest.mark.client("skopeo")
def test_no_layer_is_kept_on_the_disk_of_nginx(alice: Program, error_log: Path, tmp_path: Path) -> None:
    source = image(tmp_path / "image", random_layer(LARGE)).reference("v1")

    alice.run("copy", source, alice.docker("alice/streamed:v1"))
    alice.run("copy", alice.docker("alice/streamed:v1"), f"oci:{tmp_path}/pulled:v1")

    assert "is buffered to a temporary file" not in error_log.read_text()


def test_the_challenge_names_the_public_address(registry: Proxied, browser: Browser) -> None:
    answer = browser.get("/v2/")

    assert answer.status == 401
    assert f'realm="https://{registry.public_host}/v2/token"' in answer.headers["www-authenticate"]


def test_what_a_client_says_about_the_address_does_not_reach_the_registry(browser: Browser) -> None:
    browser.opener.addheaders.append(("X-Forwarded-Host", "evil.example"))

    assert browser.get("/admin/login/").status == 200


def test_the_registry_knows_that_the_browser_came_by_https(browser: Browser) -> None:
    assert "strict-transport-security" in browser.get("/admin/login/").headers


def test_an_administrator_logs_in(browser: Browser) -> None:
    answer = browser.log_in("admin")

    assert b"Log out" in answer.body
    assert all(cookie.secure for cookie in browser.cookies)
