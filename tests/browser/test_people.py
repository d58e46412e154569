"""What people do in a browser, and what a client then sees."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from distribution.protocol import spec
from tests.browser.chromium import tab
from tests.browser.demo import DemoServer, Pusher
from tests.clients.layouts import image
from tests.clients.program import Program
from tests.clients.server import basic

pytestmark = pytest.mark.client("chromium")

NEW_PASSWORD = "a much longer password"


def test_an_ordinary_user_browses_changes_the_password_and_revokes_a_login(browser: Browser, demo: DemoServer) -> None:
    old, account = basic("charlie"), "charlie"
    demo.execute(
        "INSERT INTO acl_rule (subject_kind, subject, name, actions, comment, created_at) "
        f"VALUES ('account', '{account}', 'alice/web', 'pull', '', '2026-11-01 00:00:00')"
    )
    query = "service=Docker%20Registry&scope=repository:alice/web:pull&offline_token=true&client_id=ci-runner"
    assert demo.request("GET", f"/v2/token?{query}", authorization=old).status == 200

    with tab(browser, demo) as opened:
        page = opened.page
        opened.sign_in(account)
        page.get_by_role("link", name="alice/web").click()
        page.get_by_role("link", name="latest", exact=True).click()
        assert "docker pull" in page.locator("#pull").inner_text()
        assert page.get_by_role("button", name="Delete").count() == 0
        page.get_by_role("link", name=account).click()
        page.get_by_role("button", name="Revoke the login of ci-runner").click()
        assert page.get_by_role("status").inner_text().startswith("Revoked: 1")
        page.get_by_label("Current password").fill("charlie-password")
        page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
        page.get_by_label("New password again").fill(NEW_PASSWORD)
        page.get_by_role("button", name="Change the password").click()
        assert "was changed" in page.get_by_role("status").inner_text()

    assert demo.request("GET", f"/v2/token?{query}", authorization=old).status == 401


def test_a_tag_is_rolled_back_and_pulled_and_a_deletion_says_what_it_frees(browser: Browser, demo: DemoServer) -> None:
    pusher = Pusher(demo, "alice", "alice/rolled")
    config = pusher.blob(b'{"of": "rolled"}', spec.OCI_CONFIG)
    first, _ = (
        pusher.manifest(
            {
                "schemaVersion": 2,
                "mediaType": spec.OCI_MANIFEST,
                "config": config,
                "layers": [pusher.blob(layer * 2048, spec.OCI_LAYER)],
            },
            "latest",
        )
        for layer in (b"1", b"2")
    )
    pulled = "/v2/alice/rolled/manifests/latest"
    bearer = f"Bearer {demo.token('alice', 'repository:alice/rolled:pull')}"

    with tab(browser, demo) as opened:
        page = opened.page
        opened.sign_in("alice")
        page.goto("/repositories/alice/rolled")
        page.get_by_role("link", name="History of latest").click()
        page.get_by_role("button", name="Roll back").click()
        assert first["digest"] in page.get_by_role("status").inner_text()
        answer = demo.request("GET", pulled, authorization=bearer)
        assert answer.headers["docker-content-digest"] == first["digest"]

        page.goto(f"/repositories/alice/rolled/-/{first['digest']}/delete")
        assert "Frees up to 2.0 KiB" in page.locator(".lines").inner_text()
        assert "16 B stay: 1 other manifest shares them." in page.locator(".lines").inner_text()
        page.get_by_role("button", name="Delete").click()
        assert "was deleted" in page.get_by_role("status").inner_text()
        assert demo.request("GET", pulled, authorization=bearer).status == 404
        assert opened.complaints == []


@pytest.mark.client("skopeo")
def test_a_deleted_tag_is_restored_and_pulled(
    browser: Browser, demo: DemoServer, skopeo: Callable[[str, str], Program], tmp_path: Path
) -> None:
    alice = skopeo("alice", "alice-password")
    remote = alice.docker("alice/restored:v1")
    alice.run("copy", image(tmp_path / "image").reference("v1"), remote)

    with tab(browser, demo) as opened:
        page = opened.page
        opened.sign_in("alice")
        page.goto("/repositories/alice/restored/-/v1")
        page.get_by_role("link", name="Delete this tag").click()
        assert "Clients can't pull the tag any more." in page.locator(".lines").inner_text()
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("status").wait_for()
        alice.refused("inspect", remote)
        page.get_by_role("link", name="Deleted tags").click()
        page.get_by_role("link", name="v1", exact=True).click()
        page.get_by_role("button", name="Restore").click()
        page.get_by_role("status").wait_for()

    assert "Digest" in alice.run("inspect", remote)


@pytest.mark.client("skopeo")
def test_an_access_token_opens_the_registry_until_it_is_revoked(
    browser: Browser, demo: DemoServer, skopeo: Callable[[str, str], Program], tmp_path: Path
) -> None:
    with tab(browser, demo) as opened:
        page = opened.page
        opened.sign_in("alice")
        page.goto("/account")
        page.get_by_role("link", name="Your access tokens").click()
        page.get_by_label("What is it for?").fill("laptop")
        page.get_by_label("Limited to").fill("alice/by-token:pull,push")
        page.get_by_role("button", name="Make the token").click()
        machine = skopeo("alice", page.locator("#token").inner_text())
        remote, source = machine.docker("alice/by-token:v1"), image(tmp_path / "image").reference("v1")
        machine.run("copy", source, remote)
        machine.refused("copy", source, machine.docker("alice/other:v1"))

        page.get_by_role("button", name="Revoke laptop").click()
        page.get_by_role("rowheader", name="laptop").wait_for(state="detached")

    assert "unauthorized" in machine.refused("inspect", remote).lower()
