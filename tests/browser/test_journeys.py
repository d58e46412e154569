"""What people do in a browser, from the first page to what a client then sees."""

import json

import pytest
from playwright.sync_api import Browser, Dialog

from distribution.protocol import spec
from tests.browser.chromium import tab
from tests.browser.demo import SPDX, DemoServer, Pusher
from tests.clients.server import basic
from tests.images import digest_of

pytestmark = pytest.mark.client("chromium")

SCRIPT = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
LINK = "[a link](javascript:alert(1)) "
NEW_PASSWORD = "a much longer password"


def test_a_hostile_image_runs_nothing(browser: Browser, demo: DemoServer) -> None:
    pusher = Pusher(demo, "alice", "alice/hostile")
    config = {"architecture": SCRIPT, "os": "linux", "config": {"Labels": {SCRIPT: SCRIPT}, "Env": [f"A={SCRIPT}"]}}
    image = pusher.manifest(
        {
            "schemaVersion": 2,
            "mediaType": spec.OCI_MANIFEST,
            "config": pusher.blob(json.dumps(config).encode(), spec.OCI_CONFIG),
            "layers": [pusher.blob(b"layer", spec.OCI_LAYER)],
            "annotations": {
                "org.opencontainers.image.description": f"[a](javascript:alert(1)) {SCRIPT}",
                SCRIPT: SCRIPT,
            },
        },
        "script-alert-1",
    )
    packages = [{"name": SCRIPT, "versionInfo": SCRIPT, "licenseConcluded": SCRIPT}]
    document = json.dumps({"spdxVersion": "SPDX-2.3", "name": SCRIPT, "packages": packages}).encode()
    bill = pusher.attach(image, SPDX, document, SPDX)
    start = "/repositories/alice/hostile"
    about = f"{start}/-/{bill['digest']}"
    compared = f"{start}/-/script-alert-1/compare?with={bill['digest']}"
    pages = [start, f"{start}/-/script-alert-1", about, f"{about}/contents/{digest_of(document)}", compared]

    with tab(browser, demo) as opened:
        opened.sign_in("alice")
        dialogs: list[str] = []

        def dismiss(dialog: Dialog) -> None:
            dialogs.append(dialog.message)
            dialog.dismiss()

        opened.page.on("dialog", dismiss)
        for path in pages:
            opened.page.goto(path)
            assert opened.page.evaluate("window.hacked") is None, path
            assert opened.page.locator("main img").count() == 0, path
            assert opened.page.locator("main a[href^='javascript:']").count() == 0, path

        assert dialogs == []
        assert opened.complaints == []


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
        assert "Frees 2.0 KiB" in page.locator(".lines").inner_text()
        assert "16 B stay: 1 other manifest shares them." in page.locator(".lines").inner_text()
        page.get_by_role("button", name="Delete").click()
        assert "was deleted" in page.get_by_role("status").inner_text()
        assert demo.request("GET", pulled, authorization=bearer).status == 404
        assert opened.complaints == []
