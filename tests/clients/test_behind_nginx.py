"""The registry behind nginx with TLS, each configured as docs/deployment.md says."""

import re
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest

from tests.clients.layouts import image, random_layer
from tests.clients.nginx import Proxied, make_certificate, nginx
from tests.clients.program import Program, login_file
from tests.clients.server import Answer, password_of

pytestmark = pytest.mark.client("nginx", "openssl")

# More than the largest body that nginx takes, and than it keeps in memory, when it is not told otherwise.
LARGE = 8 << 20


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """Run a registry that expects nginx in front."""
    server = Proxied(tmp_path_factory.mktemp("proxied"))
    make_certificate(server.folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


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


class Browser:
    """What a person has open: it keeps cookies and trusts the certificate."""

    def __init__(self, registry: Proxied) -> None:
        self.base = f"https://{registry.public_host}"
        self.cookies = CookieJar()
        handlers = urllib.request.HTTPCookieProcessor(self.cookies), urllib.request.HTTPSHandler(context=registry.tls)
        self.opener = urllib.request.build_opener(*handlers)

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Return the page."""
        return self._send(urllib.request.Request(self.base + path, headers=headers or {}))

    def post(self, path: str, form: dict[str, str]) -> Answer:
        """Return the page that follows on a form, sent as browsers send it."""
        headers = {"Origin": self.base, "Referer": self.base + path}
        return self._send(urllib.request.Request(self.base + path, urlencode(form).encode(), headers))

    def _send(self, request: urllib.request.Request) -> Answer:
        try:
            response = self.opener.open(request, timeout=60)
        except HTTPError as refusal:
            response = refusal
        with response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, headers, response.read())


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


def test_the_challenge_names_the_public_address(registry: Proxied, error_log: Path) -> None:
    answer = Browser(registry).get("/v2/")

    assert answer.status == 401
    assert f'realm="https://{registry.public_host}/v2/token"' in answer.headers["www-authenticate"]


def test_what_a_client_says_about_the_address_does_not_reach_the_registry(registry: Proxied, error_log: Path) -> None:
    answer = Browser(registry).get("/admin/login/", {"X-Forwarded-Host": "evil.example"})

    assert answer.status == 200


def test_an_administrator_logs_in(registry: Proxied, error_log: Path) -> None:
    browser = Browser(registry)
    found = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', browser.get("/admin/login/").body)
    assert found

    form = {"username": "admin", "password": password_of("admin"), "csrfmiddlewaretoken": found[1].decode()}
    answer = browser.post("/admin/login/?next=/admin/", form)

    assert b"Log out" in answer.body
    assert all(cookie.secure for cookie in browser.cookies)
