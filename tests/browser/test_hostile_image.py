"""An image whose every string is a script does nothing to who looks at it."""

import json

import pytest
from playwright.sync_api import Browser, Dialog

from distribution.protocol import spec
from tests.browser.chromium import tab
from tests.browser.demo import SPDX, DemoServer, Pusher
from tests.images import digest_of

pytestmark = pytest.mark.client("chromium")

SCRIPT = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
MARKDOWN = f"[a](javascript:alert(1)) ![b](http://evil.example.com/c.png) <{'a'}>{SCRIPT}"


def push_hostile(demo: DemoServer) -> list[str]:
    """Push an image and an SBOM of scripts, and return the paths of all pages that show a part of them."""
    pusher = Pusher(demo, "alice", "alice/hostile")
    config = {
        "architecture": SCRIPT,
        "os": "linux",
        "config": {"Labels": {SCRIPT: SCRIPT}, "Env": [f"A={SCRIPT}"], "Entrypoint": [SCRIPT], "User": SCRIPT},
        "history": [{"created_by": SCRIPT}],
    }
    annotations = {"org.opencontainers.image.description": MARKDOWN, SCRIPT: SCRIPT}
    document = {
        "schemaVersion": 2,
        "mediaType": spec.OCI_MANIFEST,
        "config": pusher.blob(json.dumps(config).encode(), spec.OCI_CONFIG),
        "layers": [pusher.blob(b"layer", spec.OCI_LAYER)],
        "annotations": annotations,
    }
    image = pusher.manifest(document, "script-alert-1")
    pusher.manifest(document | {"annotations": annotations | {"moved": SCRIPT}}, "script-alert-1")
    packages = [{"name": SCRIPT, "versionInfo": SCRIPT, "licenseConcluded": SCRIPT}]
    text = json.dumps({"spdxVersion": "SPDX-2.3", "name": SCRIPT, "packages": packages}).encode()
    bill = pusher.attach(image, SPDX, text, SPDX)
    start = "/repositories/alice/hostile"
    tag, about = f"{start}/-/script-alert-1", f"{start}/-/{bill['digest']}"
    for_everybody = (
        *("/?q=hostile", start, tag, f"{tag}/history", f"{tag}/delete", f"{tag}/compare?with={bill['digest']}"),
        *(f"{start}/-/{image['digest']}", about, f"{about}/contents/{digest_of(text)}", f"{start}/~/description"),
    )
    lists = ("distribution/repository", "distribution/tag", "distribution/manifest", "distribution/blob", "audit/event")
    return [*for_everybody, "/admin/", *(f"/admin/{one}/" for one in lists)]


def test_a_hostile_image_runs_nothing(browser: Browser, demo: DemoServer) -> None:
    pages = push_hostile(demo)
    # A probe of the login, which the audit shows.
    demo.request("GET", f"/v2/token?service=Docker%20Registry&client_id={'%3Cscript%3E'}", more={"User-Agent": SCRIPT})

    with tab(browser, demo) as opened:
        opened.sign_in("admin")
        dialogs: list[str] = []

        def dismiss(dialog: Dialog) -> None:
            dialogs.append(dialog.message)
            dialog.dismiss()

        opened.page.on("dialog", dismiss)
        for path in pages:
            answer = opened.page.goto(path)
            assert answer is not None, path
            assert answer.status == 200, path
            assert opened.page.evaluate("window.hacked") is None, path
            assert opened.page.locator("#content img").count() == 0, path
            assert opened.page.locator("#content a[href^='javascript:']").count() == 0, path

        opened.page.goto("/repositories/alice/hostile/~/description")
        opened.page.locator("textarea").fill(MARKDOWN)
        opened.page.get_by_role("button", name="Preview").click()
        assert opened.page.locator("#content img, #content script, #content a[href^='javascript:']").count() == 0
        opened.page.get_by_role("button", name="Save").click()
        opened.page.wait_for_url("**/repositories/alice/hostile")
        assert opened.page.get_by_text("The description was saved.").count() == 1
        assert opened.page.locator("#content img, #content a[href^='javascript:']").count() == 0

        assert opened.page.evaluate("window.hacked") is None
        assert dialogs == []
        assert opened.complaints == []
        assert [url for url in opened.requested if "evil" in url] == []
