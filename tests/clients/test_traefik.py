"""The registry behind Traefik with TLS: the admin's login, its cookies, and the address that clients are sent to."""

from collections.abc import Iterator

import pytest

from tests.clients.browser import Browser
from tests.clients.nginx import Proxied, proxied_server
from tests.clients.test_admin import every_worker_answers, rule_page
from tests.clients.traefik import traefik

pytestmark = pytest.mark.client("traefik", "openssl")


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """Run a registry behind Traefik."""
    with (
        proxied_server(tmp_path_factory.mktemp("proxied")) as server,
        traefik(server, tmp_path_factory.mktemp("traefik")),
    ):
        yield server


@pytest.fixture
def browser(proxied: Proxied) -> Browser:
    """Open a browser at the public address."""
    return Browser(f"https://{proxied.public_host}", proxied.tls)


def test_the_challenge_names_the_public_address(proxied: Proxied, browser: Browser) -> None:
    answer = browser.get("/v2/")

    assert answer.status == 401
    assert f'realm="https://{proxied.public_host}/v2/token"' in answer.headers["www-authenticate"]


def test_the_proxy_is_believed_about_tls(browser: Browser) -> None:
    answer = browser.get("/admin/login/")

    # Django says it in answers to requests that came by TLS only.
    assert "max-age=" in answer.headers["strict-transport-security"]


def test_what_a_client_says_of_itself_changes_nothing(browser: Browser) -> None:
    browser.opener.addheaders.append(("Forwarded", "for=198.51.100.1;proto=http;host=evil.example"))

    answer = browser.get("/admin/login/")

    assert answer.status == 200
    assert "max-age=" in answer.headers["strict-transport-security"]


def test_an_administrator_logs_in_with_cookies_for_tls_only(browser: Browser) -> None:
    answer = browser.log_in("admin")

    assert b"Log out" in answer.body
    assert {cookie.name for cookie in browser.cookies} == {"registry_login", "registry_form"}
    assert all(cookie.secure for cookie in browser.cookies)


def test_a_form_of_another_site_is_refused(browser: Browser) -> None:
    browser.log_in("admin")

    answer = browser.submit("/admin/acl/rule/add/", {"subject": "mallory", "name": "*"}, origin="https://evil.example")

    assert answer.status == 403


def test_a_rule_changed_through_the_proxy_counts_in_every_worker(proxied: Proxied, browser: Browser) -> None:
    token = proxied.token("bob", "repository:alice/app:pull")
    browser.log_in("admin")
    page = rule_page(browser, "bob")
    assert every_worker_answers(proxied, token) == {404}

    browser.submit(page, {"name": "alice/other"})
    without_the_rule = every_worker_answers(proxied, token)
    browser.submit(page, {"name": "alice/*"})

    assert without_the_rule == {401}
    assert every_worker_answers(proxied, token) == {404}
