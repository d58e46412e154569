"""Who sees which repository, tag and image on the pages, and what becomes of hostile content."""

import json
from typing import Any

import pytest
from django.test import Client

from distribution.protocol.spec import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.images import digest_of, push_blob, push_image

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def signed_in(name: str) -> Client:
    """Return the browser of an account, after its login."""
    client = Client()
    answer = client.post("/login", {"username": name, "password": PASSWORDS[name]})
    assert answer.status_code == 302, answer.content
    return client


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer)
    return answer.content.decode()


def put_manifest(caller: Caller, repository: str, reference: str, document: dict[str, Any]) -> str:
    payload = json.dumps(document).encode()
    answer = caller.put(f"/v2/{repository}/manifests/{reference}", payload, content_type=document["mediaType"])
    assert answer.status_code == 201, answer.content
    return digest_of(payload)


def push_config(caller: Caller, repository: str, reference: str, config: object, **more: object) -> str:
    """Push an image with this config and return its digest."""
    content = json.dumps(config).encode()
    push_blob(caller, repository, content)
    descriptor = {"mediaType": OCI_CONFIG, "digest": digest_of(content), "size": len(content)}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor, "layers": [descriptor]}
    return put_manifest(caller, repository, reference, document | more)


@pytest.fixture
def pushed(alice: Caller) -> None:
    """Push a private and a public image."""
    push_image(alice, "alice/app", "v1")
    push_image(alice, "public/tool", "v1")


@pytest.mark.usefixtures("pushed")
def test_everybody_sees_what_he_may_pull_and_nothing_else() -> None:
    assert "public/tool" in text_of(Client(), "/")
    assert "alice/app" not in text_of(Client(), "/")
    assert "alice/app" in text_of(signed_in("bob"), "/")
    assert "alice/app" not in text_of(signed_in("charlie"), "/")


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("path", ["/repositories/alice/app", "/repositories/alice/app/-/v1"])
def test_a_private_repository_looks_like_a_missing_one(path: str) -> None:
    private, missing = Client().get(path), Client().get(path.replace("alice", "nobody"))

    assert (private.status_code, missing.status_code) == (404, 404)
    assert private.content.replace(b"alice", b"nobody") == missing.content
    assert signed_in("bob").get(path).status_code == 200


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize(
    "path",
    [
        "/repositories/Alice",
        "/repositories/alice/app/-/missing",
        "/repositories/alice/app/-/sha256:00",
        "/repositories/alice/app/-/..",
        f"/repositories/alice/app/-/{digest_of(b'another')}",
        "/repositories/a%00b",
    ],
)
def test_what_does_not_exist_is_404(path: str) -> None:
    assert signed_in("alice").get(path).status_code == 404


@pytest.mark.usefixtures("pushed")
def test_a_search_finds_parts_of_names() -> None:
    bob = signed_in("bob")

    assert "public/tool" in text_of(bob, "/?q=ic/to")
    assert "alice/app" not in text_of(bob, "/?q=ic/to")
    assert "No tag has" in text_of(bob, "/repositories/alice/app?q=v2")
    assert text_of(bob, "/?q=%25%00%ff")


def test_long_lists_go_on_on_the_next_page(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.contents.PAGE", 2)
    for number in range(3):
        push_image(alice, f"alice/app{number}", "v1")
        push_image(alice, "alice/many", f"v{number}")
    browser = signed_in("alice")

    first = text_of(browser, "/")
    assert ("alice/app1" in first, "alice/app2" in first) == (True, False)
    assert 'rel="next" href="?after=alice%2Fapp1"' in first
    assert "alice/app2" in text_of(browser, "/?after=alice%2Fapp1")
    assert 'href="?after=v1"' in text_of(browser, "/repositories/alice/many")
    assert "v2" in text_of(browser, "/repositories/alice/many?after=v1")


def test_an_image_shows_its_config_and_masks_what_looks_secret(alice: Caller) -> None:
    config = {
        "os": "linux",
        "architecture": "arm64",
        "config": {"Entrypoint": ["/bin/server"], "Env": ["DB_PASSWORD=hunter2", "LANG=C.UTF-8"], "User": "1000"},
        "history": [{"created_by": "ENV A=b", "empty_layer": True}, {"created_by": "RUN make"}],
    }
    push_config(alice, "alice/app", "v1", config)

    page = text_of(signed_in("alice"), "/repositories/alice/app/-/v1")

    for words in ("linux/arm64", "/bin/server", "LANG=C.UTF-8", "RUN make", "docker pull testserver/alice/app:v1"):
        assert words in page
    assert "hunter2" not in page


def test_an_index_counts_each_blob_of_its_platforms_once(alice: Caller) -> None:
    entries = []
    for architecture in ("amd64", "arm64"):
        digest = push_config(alice, "alice/app", architecture, {"os": "linux", "architecture": architecture})
        size = len(alice.get(f"/v2/alice/app/manifests/{digest}").content)
        platform = {"os": "linux", "architecture": architecture}
        entries.append({"mediaType": OCI_MANIFEST, "digest": digest, "size": size, "platform": platform})
    put_manifest(alice, "alice/app", "all", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    browser = signed_in("alice")

    # Each config is the only layer too, and has 40 bytes.
    page = text_of(browser, "/repositories/alice/app/-/all")
    assert "80 B for all platforms" in page
    assert "linux/arm64" in page
    assert "linux/amd64, linux/arm64" in text_of(browser, "/repositories/alice/app")


@pytest.mark.parametrize("kind", ["application/vnd.cncf.notary.signature", "application/spdx+json"])
def test_a_referrer_is_listed_and_a_signature_is_said_to_be_one(alice: Caller, kind: str) -> None:
    digest = push_config(alice, "alice/app", "v1", {"os": "linux", "architecture": "amd64"})
    size = len(alice.get(f"/v2/alice/app/manifests/{digest}").content)
    subject = {"mediaType": OCI_MANIFEST, "digest": digest, "size": size}
    push_config(alice, "alice/app", "about", {}, subject=subject, artifactType=kind)
    browser = signed_in("alice")

    is_signature = "signature" in kind
    assert ("signed</span>" in text_of(browser, "/repositories/alice/app")) is is_signature
    assert ("<strong>Signature" if is_signature else "<strong>SBOM") in text_of(browser, "/repositories/alice/app/-/v1")
    assert digest in text_of(browser, "/repositories/alice/app/-/about")


@pytest.mark.parametrize(
    "config",
    [
        {
            "config": {"Labels": {HOSTILE: HOSTILE}, "Env": [HOSTILE], "User": HOSTILE},
            "created": HOSTILE,
            "os": HOSTILE,
        },
        {"config": [], "history": {}, "os": 7, "architecture": None},
        {"config": {"Env": {"a": 1}, "Labels": [1], "ExposedPorts": "x", "Entrypoint": [[1]], "Volumes": {"b": 1}}},
        {"history": [1, {"created_by": {}}, {"empty_layer": "yes"}]},
        ["no object"],
        "x" * 10_000,
    ],
)
def test_a_hostile_config_is_text_or_nothing(alice: Caller, config: object) -> None:
    annotations = {"title": HOSTILE, HOSTILE: "x"}
    push_config(alice, "alice/app", "v1", config, annotations=annotations)

    page = text_of(signed_in("alice"), "/repositories/alice/app/-/v1")

    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_a_config_that_is_lost_is_left_out(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    push_config(alice, "alice/app", "v1", {"os": "linux", "architecture": "amd64"})
    monkeypatch.setattr("web.image.manifest.MAX_CONFIG_BYTES", 1)

    page = text_of(signed_in("alice"), "/repositories/alice/app/-/v1")

    assert "linux/amd64" not in page
    assert "The configuration is missing here. It has 40 B; pages read at most 1 B." in page


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("path", ["/", "/repositories/public/tool", "/repositories/public/tool/-/v1", "/login"])
def test_no_page_is_kept_by_a_cache(path: str) -> None:
    assert "no-store" in Client().get(path).headers["Cache-Control"]


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("path", ["/", "/repositories/public/tool", "/repositories/public/tool/-/v1"])
def test_a_page_is_read_only(path: str) -> None:
    assert Client().post(path).status_code == 405


def test_half_a_surrogate_pair_breaks_no_page(alice: Caller) -> None:
    digest = push_config(alice, "alice/app", "v1", {"os": "\ud800", "config": {"Labels": {"a": "\udfff"}}})
    size = len(alice.get(f"/v2/alice/app/manifests/{digest}").content)
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": size, "platform": {"os": "\ud800"}}
    put_manifest(alice, "alice/app", "all", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]})
    browser = signed_in("alice")

    for path in ("", "/-/all", "/-/v1"):
        assert "alice/app" in text_of(browser, f"/repositories/alice/app{path}")


def test_a_large_manifest_is_not_shown_as_json(alice: Caller) -> None:
    push_config(alice, "alice/app", "v1", {}, annotations={"a": "x" * 70_000})

    assert "too large to be shown as JSON" in text_of(signed_in("alice"), "/repositories/alice/app/-/v1")


def test_more_blobs_than_a_page_adds_up_have_no_size(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    push_image(alice, "alice/app", "v1")
    monkeypatch.setattr("distribution.manifests.sizes.MAX_USES", 1)

    assert "<dt>Size</dt><dd>—" in text_of(signed_in("alice"), "/repositories/alice/app/-/v1")


def test_a_search_ends_at_its_bound(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    push_image(alice, "alice/app", "v1")
    monkeypatch.setattr("distribution.repositories.MAX_SEARCHED", 0)

    assert "No repository" in text_of(signed_in("alice"), "/?q=app")
    assert "alice/app" in text_of(signed_in("alice"), "/")
