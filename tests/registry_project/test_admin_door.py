"""Where the admin is served, and to whom: over real sockets, with the headers of a client that lies."""

import http.client
import json
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from unittest.mock import patch

import pytest
from django.test import Client
from pytest_django import Settings

from configuration.values import Admin, Configuration
from startup import prepare
from tests.clients.browser import Browser
from tests.clients.server import Answer, Server, started
from tests.ports import free_port

STYLES = "/static/unfold/css/styles.css"
PAGES = ("/admin", "/admin/", "/admin/login/", "/admin/accounts/account/", STYLES)
MISSING = "/there-is-no-such-page/"


class OneWorker(Server):
    """A server with more to say about its admin."""

    def __init__(self, folder: Path, admin: dict[str, object], **server: object) -> None:
        super().__init__(folder)
        self.admin, self.more = admin, server

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        server = {"addr": self.host, "workers": 1, "threads": 2, **self.more}
        return super().configuration() | {"server": server, "admin": self.admin}

    def ask(self, path: str, headers: dict[str, str] | None = None, *, port: int = 0) -> Answer:
        """Return what a port answers, that of the registry unless another one is named."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


@contextmanager
def serving(admin: dict[str, object], **server: object) -> Iterator[OneWorker]:
    folder = Path(tempfile.mkdtemp(prefix="registry-door-"))
    served = OneWorker(folder, admin, **server)
    with started(served):
        yield served
        shutil.rmtree(folder)


def looks_missing(server: OneWorker, path: str, headers: dict[str, str] | None = None) -> bool:
    """Tell whether `path` is answered as a page that nobody ever made, in every header but those of the moment."""
    made_up, answer = server.ask(MISSING, headers), server.ask(path, headers)
    changing = ("date", "x-request-id")
    there, here = ({k: v for k, v in a.headers.items() if k not in changing} for a in (made_up, answer))
    return (answer.status, answer.body, here) == (404, made_up.body, there)


@pytest.fixture(scope="module")
def own_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def apart(own_port: int) -> Iterator[OneWorker]:
    """Serve the admin at an address of its own, behind a public name."""
    public = {"public_url": "https://registry.example.org", "trusted_proxies": ["127.0.0.1"]}
    with serving({"addr": f"127.0.0.1:{own_port}"}, **public) as server:
        yield server


@pytest.fixture(scope="module")
def fenced() -> Iterator[OneWorker]:
    """Serve the admin to one network and to this machine, which the proxy is on too."""
    networks = ["10.0.0.0/8", "127.0.0.0/8"]
    with serving({"allowed_networks": networks}, trusted_proxies=["127.0.0.1"]) as server:
        yield server


@pytest.mark.parametrize("path", PAGES)
def test_the_public_address_has_no_admin(apart: OneWorker, path: str) -> None:
    assert looks_missing(apart, path, {"Host": "registry.example.org"})


def test_the_public_address_has_pages_whose_cookies_are_for_https(apart: OneWorker, own_port: int) -> None:
    """The URL of the registry is https, that of the admin is not."""
    page, admin = apart.ask("/login"), apart.ask("/admin/login/", port=own_port)

    assert "; Secure" in page.headers["set-cookie"]
    assert "; Secure" not in admin.headers["set-cookie"]
    assert b"/admin/" not in page.body
    assert apart.ask("/static/web/registry.css").status == 200


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host", "X-Forwarded-Server", "Server-Name", "X-Forwarded-Port"])
def test_no_header_leads_from_the_public_address_to_the_admin(apart: OneWorker, own_port: int, name: str) -> None:
    own = str(own_port) if name == "X-Forwarded-Port" else f"127.0.0.1:{own_port}"

    answer = apart.ask("/admin/login/", {name: own})

    assert answer.status in (400, 404)


def test_an_absolute_target_does_not_lead_to_the_admin_either(apart: OneWorker, own_port: int) -> None:
    answer = apart.ask(f"http://127.0.0.1:{own_port}/admin/login/")

    assert answer.status in (400, 404)


def test_the_public_address_serves_the_registry(apart: OneWorker) -> None:
    assert apart.ask("/v2/").status == 401
    assert apart.ask("/api/v1/whoami").status == 401
    assert apart.ask("/health").status == 200


def test_the_admins_address_serves_the_admin_and_health(apart: OneWorker, own_port: int) -> None:
    assert apart.ask("/", port=own_port).headers["location"] == "/admin/"
    assert apart.ask("/admin/login/", port=own_port).status == 200
    assert apart.ask(STYLES, port=own_port).status == 200
    assert apart.ask("/health", port=own_port).status == 200


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2/token", "/v2/alice/app/manifests/v1", "/api/v1/whoami"])
def test_the_admins_address_serves_no_registry(apart: OneWorker, own_port: int, path: str) -> None:
    assert apart.ask(path, port=own_port).status == 404
    assert apart.ask(path, {"Host": "registry.example.org"}, port=own_port).status == 404


def test_an_administrator_logs_in_at_the_admins_address(apart: OneWorker, own_port: int) -> None:
    browser = Browser(f"http://127.0.0.1:{own_port}")

    answer = browser.log_in("admin")

    assert b"Log out" in answer.body
    assert not any(cookie.secure for cookie in browser.cookies)


def test_the_start_says_where_the_admin_is(apart: OneWorker, own_port: int) -> None:
    said = apart.log_file.read_text()

    assert f"registry listening on http://127.0.0.1:{apart.port}, for https://registry.example.org\n" in said
    assert f"the admin alone is at http://127.0.0.1:{own_port}/admin/\n" in said


def test_an_admins_address_that_is_not_listened_on_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """As after `gunicorn --bind`."""
    configured = Configuration(admin=Admin(host="127.0.0.1", port=5001))
    with socket.create_server(("127.0.0.1", 0)) as public, patch.object(prepare, "configuration", lambda: configured):
        prepare.say_listening([public])

    assert "warning: admin.addr is not listened on" in capsys.readouterr().err


@pytest.mark.parametrize("path", PAGES)
def test_a_client_of_another_network_finds_no_admin(fenced: OneWorker, path: str) -> None:
    assert looks_missing(fenced, path, {"X-Forwarded-For": "192.0.2.1"})


def test_a_client_of_the_network_finds_it(fenced: OneWorker) -> None:
    assert fenced.ask("/admin/login/", {"X-Forwarded-For": "10.1.2.3"}).status == 200
    assert fenced.ask(STYLES, {"X-Forwarded-For": "10.1.2.3"}).status == 200


def test_an_address_that_the_proxy_did_not_see_does_not_count(fenced: OneWorker) -> None:
    answer = fenced.ask("/admin/login/", {"X-Forwarded-For": "10.1.2.3, 192.0.2.1"})

    assert answer.status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=unknown"},
        {"X-Forwarded-For": "192.0.2.1", "Forwarded": "proto=http"},
        {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=127.0.0.1"},
        {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=10.1.2.3"},
        {"X-Forwarded-For": "unknown"},
        {"Forwarded": "for=_hidden"},
        {"X-Forwarded-Proto": "https"},
    ],
)
@pytest.mark.parametrize("path", ["/admin/login/", STYLES])
def test_a_client_that_the_proxy_does_not_name_is_not_taken_for_the_proxy(
    fenced: OneWorker, path: str, headers: dict[str, str]
) -> None:
    assert looks_missing(fenced, path, headers)


def test_the_machine_of_the_proxy_may_ask_by_itself(fenced: OneWorker) -> None:
    assert fenced.ask("/admin/login/").status == 200


def test_a_refused_client_is_in_the_log(fenced: OneWorker) -> None:
    fenced.ask("/admin/", {"X-Forwarded-For": "192.0.2.77"})

    (line,) = re.findall(r".*admin refused.*192\.0\.2\.77.*", fenced.log_file.read_text())
    assert json.loads(line)["level"] == "warning"


@pytest.mark.django_db
def test_without_a_listed_proxy_no_header_names_the_client(settings: Settings) -> None:
    settings.REGISTRY = Configuration(admin=Admin(allowed_networks=(ip_network("10.0.0.0/8"),)))

    answers = [
        Client().get("/admin/login/", headers=header)
        for header in ({"X-Forwarded-For": "10.1.2.3"}, {"Forwarded": "for=10.1.2.3"})
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert Client().get("/admin/login/", REMOTE_ADDR="10.1.2.3").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
def test_an_admin_that_is_off_is_missing(settings: Settings, path: str) -> None:
    settings.REGISTRY = Configuration(admin=Admin(is_enabled=False, host="127.0.0.1", port=5001))

    missing, answer = Client().get(MISSING), Client().get(path)

    assert (answer.status_code, answer.content, answer.headers) == (404, missing.content, missing.headers)


@pytest.mark.django_db
def test_the_registry_is_there_without_its_admin(settings: Settings) -> None:
    settings.REGISTRY = Configuration(admin=Admin(is_enabled=False))

    assert [Client().get(path).status_code for path in ("/v2/", "/api/v1/whoami")] == [401, 401]
