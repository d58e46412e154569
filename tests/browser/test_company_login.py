"""The button of the company login, pressed in a browser: to the OpenID provider and back."""

import base64
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page

from tests.browser.chromium import tab
from tests.clients.server import Server, basic, started
from tests.identity_providers.provider import packaged

pytestmark = pytest.mark.client("chromium")
BUTTON = "Sign in with Example Inc."


class CompanyServer(Server):
    """A registry whose people sign in at `issuer`."""

    issuer = ""

    def configuration(self) -> dict[str, object]:
        oidc = {
            "issuer": self.issuer,
            "client_id": "registry",
            "client_secret": "a secret of the registry",
            "groups_claim": "groups",
            "mirror": ["registry-*"],
            "button": BUTTON,
        }
        found = super().configuration()
        auth = found.get("auth", {})
        assert isinstance(auth, dict)
        return found | {"auth": auth | {"oidc": oidc}}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompanyServer]:
    with packaged() as issuer:
        claims = {"preferred_username": "nora", "groups": ["registry-team", "chess"]}
        assert requests.put(f"{issuer}/users/4711", json=claims, timeout=5).ok
        server = CompanyServer(tmp_path_factory.mktemp("company"))
        server.issuer = issuer
        with started(server) as running:
            yield running


def go_to_the_provider(page: Page, company: CompanyServer) -> None:
    page.goto("/login")
    page.get_by_text(BUTTON).click()
    page.wait_for_url(f"{company.issuer}/**")


def test_somebody_signs_in_makes_a_token_for_docker_and_signs_out(browser: Browser, company: CompanyServer) -> None:
    with tab(browser, company) as opened:
        page = opened.page
        go_to_the_provider(page, company)
        page.locator("input[name=sub]").fill("4711")
        page.get_by_role("button", name="Authorize").click()
        page.wait_for_url(f"http://{company.host}/**")
        # The provider's page asks for a style sheet of the Internet.
        opened.complaints.clear()
        page.get_by_role("link", name="nora").click()
        assert "registry-team" in page.locator("#content").inner_text()
        assert page.get_by_label("Current password").count() == 0
        page.goto("/account/tokens")
        page.get_by_label("What is it for?").fill("docker")
        page.get_by_role("button", name="Make the token").click()
        token = page.locator("#token").inner_text()
        page.get_by_role("button", name="Sign out").click()
        page.goto("/account")
        assert page.url.partition("?")[0].endswith("/login")
        assert opened.complaints == []

    credentials = base64.b64encode(f"nora:{token}".encode()).decode()
    answer = company.request("GET", "/v2/token?service=Docker+Registry", authorization=f"Basic {credentials}")
    assert answer.status == 200
    assert company.rows("SELECT provider, subject FROM accounts_account WHERE name = 'nora'") == [("oidc", "4711")]


def test_who_is_refused_there_is_told_here(browser: Browser, company: CompanyServer) -> None:
    with tab(browser, company) as opened:
        page = opened.page
        go_to_the_provider(page, company)
        page.get_by_role("button", name="Deny").click()
        page.wait_for_url(f"http://{company.host}/**")

        assert "The company sign-in was refused" in page.locator("main").inner_text()
        assert page.get_by_role("button", name="Sign out").count() == 0


def test_the_password_form_beside_the_button_goes_on(browser: Browser, company: CompanyServer) -> None:
    with tab(browser, company) as opened:
        opened.page.goto("/login")
        assert opened.page.get_by_text(BUTTON).count() == 1

        opened.sign_in("alice")

        assert opened.page.get_by_role("link", name="alice").count() >= 1
        assert opened.complaints == []
    assert company.request("GET", "/v2/token?service=Docker+Registry", authorization=basic("alice")).status == 200
