"""The page of one manifest: platforms, steps with their layers, kinds, and the commands that pull it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.caller import Caller
from tests.images import push_image
from tests.web.image.artifacts import HOSTILE, PAGE, artifact, blob, image, index, platform, put
from tests.web.test_pages import signed_in, text_of
from web.image.config import instruction
from web.image.steps import Layer, steps_of


@pytest.fixture
def platforms(alice: Caller) -> list[str]:
    """Push an index of two platforms and return their digests."""
    entries = []
    for name in ("amd64", "arm64"):
        config = {"os": "linux", "architecture": name, "history": [{"created_by": f"RUN make {name}"}]}
        entries.append(image(alice, config, name.encode()) | platform(name))
    index(alice, *entries, reference="all")
    return [entry["digest"] for entry in entries]


def test_an_index_shows_its_first_platform_at_once(platforms: list[str]) -> None:
    page = text_of(signed_in("alice"), f"{PAGE}all")

    assert 'href="?platform=linux%2Famd64" aria-current="true"' in page
    assert 'href="?platform=linux%2Farm64">' in page
    assert "RUN make amd64" in page
    assert "RUN make arm64" not in page


@pytest.mark.parametrize("wanted", ["linux/arm64", 1])
def test_a_platform_is_chosen_by_name_or_digest(platforms: list[str], wanted: str | int) -> None:
    page = text_of(signed_in("alice"), f"{PAGE}all?platform={platforms[wanted] if isinstance(wanted, int) else wanted}")

    assert "RUN make arm64" in page
    assert "RUN make amd64" not in page


@pytest.mark.parametrize("wanted", ["plan9/mips", "%00", "sha256:00", "%ff"])
def test_an_unknown_platform_is_the_first(platforms: list[str], wanted: str) -> None:
    assert "RUN make amd64" in text_of(signed_in("alice"), f"{PAGE}all?platform={wanted}")


def test_children_without_or_with_the_same_platform_have_tabs_of_their_own(alice: Caller) -> None:
    one = image(alice, {"os": "linux", "history": [{"created_by": "RUN one"}]}, b"1")
    two = image(alice, {"os": "linux", "history": [{"created_by": "RUN two"}]}, b"2")
    three = image(alice, {}, b"3") | platform("\ud800")
    index(alice, one | platform(HOSTILE), two | platform(HOSTILE), three, reference="all")
    browser = signed_in("alice")

    address = f"?platform={two['digest'].replace(':', '%3A')}"
    assert f'href="{address}"' in text_of(browser, f"{PAGE}all")
    assert "RUN two" in text_of(browser, f"{PAGE}all{address}")


def test_an_index_in_an_index_is_linked(alice: Caller) -> None:
    inner = index(alice, image(alice, {}, b"1"))
    index(alice, inner, reference="all")

    assert "This entry is an index itself" in text_of(signed_in("alice"), f"{PAGE}all")


def test_steps_without_a_layer_are_shown_and_the_size_is_a_share(alice: Caller) -> None:
    history = [
        {"created_by": "FROM scratch"},
        {"created_by": "USER 1000", "empty_layer": True},
        {"created_by": "RUN b"},
    ]
    image(alice, {"history": history}, b"x" * 30, b"y" * 10, b"z" * 10, reference="v1")

    page = text_of(signed_in("alice"), f"{PAGE}v1")

    assert '<li class="step nothing"><div class="what"><code class="wrap">USER 1000' in page
    assert '<span class="size">30 B</span> <span class="quiet">60 %</span>' in page
    assert '<rect class="part" width="600" height="10"/>' in page
    # The third layer has no history.
    assert page.count('<li class="step">') == 3


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('/bin/sh -c #(nop)  CMD ["sh"]', 'CMD ["sh"]'),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("RUN /bin/sh -c make # buildkit", "RUN make"),
        ("ENV DB_PASSWORD=hunter2 LANG=C", "ENV DB_PASSWORD=•••••• LANG=C"),
        ('RUN |1 API_KEY="a b c" make', "RUN |1 API_KEY=•••••• make"),
        ("ENV TOKEN='unclosed and long", "ENV TOKEN=••••••"),
        ("ARG VERSION=1", "ARG VERSION=1"),
    ],
)
def test_a_step_reads_as_in_its_dockerfile_without_secrets(line: str, shown: str) -> None:
    assert instruction(line) == shown


def test_the_history_may_tell_of_more_layers_than_there_are() -> None:
    layer = Layer("sha256:0", "tar", 1, 1000, "", None)
    history = [{"created_by": "a"}, {"created_by": "b"}, {"created_by": 7}, "c"]

    steps = list(steps_of([layer], {"history": history}))

    assert [(step.line, step.layer) for step in steps] == [("a", layer), ("b", None)]


def test_lists_of_a_page_end(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.image.steps.LISTED", 2)
    image(alice, {}, b"1", b"2", b"3", reference="v1")

    assert "1 more layers are not listed" in text_of(signed_in("alice"), f"{PAGE}v1")


def test_the_platforms_of_a_page_end(platforms: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.image.manifest.LISTED", 1)

    page = text_of(signed_in("alice"), f"{PAGE}all")

    assert (page.count('href="?platform='), "1 more entries are not listed" in page) == (1, True)


def test_a_chart_shows_what_its_config_says_and_how_helm_pulls_it(alice: Caller) -> None:
    config = {"name": "orders", "version": "1.0.0+build.2", "appVersion": "2.3", "description": HOSTILE, "type": {}}
    helm = blob(alice, config, "application/vnd.cncf.helm.config.v1+json")
    layer = blob(alice, b"chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    put(alice, manifest | {"config": helm, "layers": [layer]}, "1.0.0_build.2")

    page = text_of(signed_in("alice"), f"{PAGE}1.0.0_build.2")

    for words in ("Helm chart", "orders", "2.3", "&lt;script&gt;alert"):
        assert words in page
    assert "helm pull oci://testserver/alice/app --version 1.0.0+build.2</code>" in page


@pytest.mark.parametrize(
    ("artifact_type", "layer_type", "name"),
    [
        ("application/vnd.dev.cosign.artifact.sig.v1+json", "application/x", "Signature"),
        ("application/spdx+json", "application/x", "SBOM"),
        ("", "application/vnd.cyclonedx+json", "SBOM"),
        ("", "application/vnd.in-toto+json", "Attestation"),
        ("", "application/vnd.dev.cosign.simplesigning.v1+json", "Signature"),
        ("", "application/wasm", "WebAssembly module"),
        ("application/vnd.cncf.openpolicyagent.config.v1+json", "application/x", "OPA policy"),
        ("application/vnd.example.thing", "application/x", "Artifact"),
    ],
)
def test_an_artifact_is_called_what_it_is(alice: Caller, artifact_type: str, layer_type: str, name: str) -> None:
    more = {"artifactType": artifact_type} if artifact_type else {}
    artifact(alice, "application/vnd.x", blob(alice, b"x", layer_type), reference="v1", **more)

    page = text_of(signed_in("alice"), f"{PAGE}v1")

    assert f"</svg>\n {name}</p>" in page
    assert "oras pull testserver/alice/app:v1" in page


def test_an_image_has_a_command_for_each_client(alice: Caller) -> None:
    push_image(alice, "alice/app", "v1")
    page = text_of(signed_in("alice"), f"{PAGE}v1")

    for command in ("docker pull", "podman pull", "nerdctl pull", "skopeo copy docker://"):
        assert f"{command}{'' if command.endswith('/') else ' '}testserver/alice/app:v1" in page


@pytest.mark.parametrize(
    ("created", "shown"),
    [
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02 03:04 UTC</time>"),
        ("1970-01-01T00:00:00Z", "<dd>1970-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "<dd>0001-01-01T00:00:00+14:00"),
        ("9999-12-31T23:59:59-14:00", "<dd>9999-12-31T23:59:59-14:00"),
        ("2026-01-02", "<dd>2026-01-02"),
        (HOSTILE, "<dd>&quot;&gt;&lt;script&gt;"),
        ("\ud800", "<dd>?"),
    ],
)
def test_the_time_of_a_build_is_what_its_pusher_says(alice: Caller, created: str, shown: str) -> None:
    image(alice, {"os": "linux", "created": created}, b"x", reference="v1")

    assert shown in text_of(signed_in("alice"), f"{PAGE}v1")


def test_the_connection_is_released_before_the_storage_is_read(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    image(alice, {"os": "linux"}, b"x", reference="v1")
    order: list[str] = []
    monkeypatch.setattr("web.stored.release_connection", lambda: order.append("release"))
    opened = "distribution.storage.blob_store.BlobStore.open_at"
    browser = signed_in("alice")

    def refuse(*_arguments: object) -> None:
        order.append("open")
        raise OSError("gone")

    monkeypatch.setattr(opened, refuse)
    page = text_of(browser, f"{PAGE}v1")

    assert order == ["release", "open"]
    assert "The storage does not answer." in page


def test_a_page_takes_as_many_queries_for_a_large_index_as_for_a_small_one(alice: Caller) -> None:
    few = index(alice, image(alice, {"n": 0}, b"0") | platform("amd64"), reference="small")
    entries = [image(alice, {"n": number}, b"%d" % number) | platform(f"a{number}") for number in range(30)]
    many = index(alice, *entries, reference="large")
    for number in range(30):
        artifact(alice, f"application/x{number}", subject=many)
    artifact(alice, "application/x", subject=few)
    browser = signed_in("alice")
    browser.get(f"{PAGE}small")

    counts = []
    for name in ("small", "large"):
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(f"{PAGE}{name}").status_code == 200
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 25
