"""A document of a manifest: the packages of an SBOM, an in-toto statement, and what can't be read."""

import base64
import json
import tracemalloc
from threading import Lock
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from acl.models import Rule
from distribution.models import Blob
from distribution.protocol.spec import OCI_MANIFEST
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.images import digest_of
from tests.web.image.artifacts import HOSTILE, IN_TOTO, PAGE, artifact, blob, document, put
from tests.web.test_pages import signed_in, text_of
from web.image import readable
from web.image.readable import readable_of
from web.image.sbom import MAX_CHARACTERS, MAX_PACKAGES
from web.stored import UnreadableError
from web.stored import content as stored_content

SPDX = "application/spdx+json"
DSSE = "application/vnd.dsse.envelope.v1+json"


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    readable._last.clear()


def spdx(*packages: object) -> dict[str, Any]:
    return {"spdxVersion": "SPDX-2.3", "name": "app", "packages": list(packages)}


def package(name: object, version: object = "1", **more: object) -> dict[str, Any]:
    return {"name": name, "versionInfo": version} | more


def statement(predicate_type: str, predicate: object) -> dict[str, Any]:
    subject = [{"name": "app", "digest": {"sha256": "ab"}}]
    kind = "https://in-toto.io/Statement/v1"
    return {"_type": kind, "predicateType": predicate_type, "subject": subject, "predicate": predicate}


def envelope(content: object) -> dict[str, Any]:
    payload = base64.b64encode(json.dumps(content).encode()).decode()
    return {"payloadType": IN_TOTO, "payload": payload, "signatures": [{"sig": "MEUC"}]}


def test_the_packages_of_spdx_have_name_version_licence_and_type(alice: Caller) -> None:
    curl = package(
        "curl",
        "7.88",
        licenseConcluded="NOASSERTION",
        licenseDeclared="MIT",
        externalRefs=[{"referenceType": "purl", "referenceLocator": "pkg:deb/debian/curl@7.88"}],
    )

    page = text_of(signed_in("alice"), document(alice, spdx(curl), SPDX))

    assert '<h1 class="wrap">SPDX 2.3</h1>' in page
    for cell in ('<th scope="row">curl<', ">7.88</td>", ">MIT</td>", ">deb</td>"):
        assert cell in page


def test_the_packages_of_cyclonedx_are_listed_with_those_within_them(alice: Caller) -> None:
    inner = {"name": "inner", "licenses": [{"expression": "MIT OR Apache-2.0"}]}
    outer = {
        "group": "@shop",
        "name": "outer",
        "version": "2",
        "purl": "pkg:npm/%40shop/outer@2",
        "components": [inner],
    }
    outer["licenses"] = [{"license": {"id": "ISC"}}, {"license": {"name": "Own"}}]
    sbom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [outer]}

    page = text_of(signed_in("alice"), document(alice, sbom, "application/vnd.cyclonedx+json"))

    for cell in (
        "CycloneDX 1.6</h1>",
        ">@shop/outer<",
        ">ISC, Own</td>",
        ">npm</td>",
        ">inner<",
        ">MIT OR Apache-2.0<",
    ):
        assert cell in page


def spdx3(*elements: object) -> dict[str, Any]:
    created = {"type": "CreationInfo", "@id": "_:c", "specVersion": "3.0.1", "createdBy": ["urn:tool", "urn:gone"]}
    about = [created, {"type": "SpdxDocument", "spdxId": "urn:doc", "name": "app"}]
    tool = {"type": "Tool", "spdxId": "urn:tool", "name": "a generator"}
    context = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
    return {"@context": context, "@graph": [*about, tool, *elements]}


def package3(key: str, **more: object) -> dict[str, Any]:
    return {"type": "software_Package", "spdxId": key, "name": "curl", "software_packageVersion": "7.88"} | more


def licensed(package: str, kind: str, *targets: object) -> dict[str, Any]:
    return {"type": "Relationship", "from": package, "relationshipType": kind, "to": list(targets)}


def test_the_packages_of_spdx_3_have_name_version_licence_and_type(alice: Caller) -> None:
    expression = {
        "type": "simplelicensing_LicenseExpression",
        "spdxId": "urn:mit",
        "simplelicensing_licenseExpression": "MIT OR curl",
    }
    elements = (
        package3("urn:1", software_packageUrl="pkg:deb/debian/curl@7.88"),
        licensed("urn:1", "hasDeclaredLicense", "https://spdx.org/licenses/ISC"),
        licensed("urn:1", "hasConcludedLicense", "urn:mit"),
        expression,
    )

    page = text_of(signed_in("alice"), document(alice, spdx3(*elements), SPDX))

    assert '<h1 class="wrap">SPDX 3.0.1</h1>' in page
    for cell in ('<th scope="row">curl<', ">7.88</td>", ">MIT OR curl</td>", ">deb</td>", ">a generator</dd>"):
        assert cell in page


@pytest.mark.parametrize(
    ("elements", "licence"),
    [
        ([licensed("urn:1", "hasDeclaredLicense", "https://spdx.org/licenses/ISC")], "ISC"),
        ([licensed("urn:1", "hasConcludedLicense", "NOASSERTION"), licensed("urn:1", "hasDeclaredLicense", "X")], "X"),
        ([licensed("urn:1", "hasDeclaredLicense", "urn:1", {}, None, 7)], "urn:1"),
        ([licensed("urn:2", "hasDeclaredLicense", "MIT")], ""),
        ([{"type": ["Relationship"]}, 7, None, [], {"type": "Relationship", "to": "x", "from": {}}], ""),
    ],
)
def test_a_licence_of_spdx_3_is_one_step_away(elements: list[object], licence: str) -> None:
    sbom = readable_of(json.dumps(spdx3(package3("urn:1"), *elements)).encode()).sbom

    assert sbom is not None
    assert [found.licence for found in sbom.packages] == [licence]


def test_many_packages_with_one_long_licence_take_no_memory_for_each() -> None:
    long = {"type": "x", "spdxId": "urn:long", "simplelicensing_licenseExpression": "x" * 4096}
    elements = [licensed(f"urn:{number}", "hasDeclaredLicense", *["urn:long"] * 10) for number in range(10_000)]
    content = json.dumps(spdx3(*(package3(f"urn:{number}") for number in range(10_000)), *elements, long)).encode()

    tracemalloc.start()
    sbom = readable_of(content).sbom
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sbom is not None
    assert len(sbom.packages[0].licence) == MAX_CHARACTERS
    assert peak < 100 * 2**20


@pytest.mark.parametrize("graph", [{}, "x", None, [[[]]], [{"type": "software_Package", "name": ["x"]}]])
def test_a_graph_of_another_shape_breaks_nothing(alice: Caller, graph: object) -> None:
    content = {"@context": ["https://spdx.org/rdf/3.0.1/spdx-context.jsonld"], "@graph": graph}

    assert signed_in("alice").get(document(alice, content, SPDX)).status_code == 200


def test_the_packages_of_syft_have_name_version_licence_and_type(alice: Caller) -> None:
    artifacts = [
        {"name": "curl", "version": "7.88", "type": "deb", "licenses": [{"value": "curl"}, "MIT", 7, None]},
        {"name": "left-pad", "purl": "pkg:npm/left-pad@1", "licenses": "none"},
        "no object",
    ]
    content = {
        "artifacts": artifacts,
        "source": {"name": "alice/app", "version": "v1"},
        "descriptor": {"name": "syft", "version": "1.18.0"},
        "schema": {"version": "16.0.18", "url": "https://raw.githubusercontent.com/anchore/syft/main/schema.json"},
    }

    page = text_of(signed_in("alice"), document(alice, content, "application/vnd.syft+json"))

    assert '<h1 class="wrap">Syft 16.0.18</h1>' in page
    for cell in (">curl, MIT</td>", ">deb</td>", ">npm</td>", ">syft 1.18.0</dd>", ">alice/app v1</dd>"):
        assert cell in page


def test_packages_are_searched_and_paged(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.image.sbom.PAGE", 2)
    names = ("curl", "libcurl4", "zlib", "curl-data", "bash")
    path = document(alice, spdx(*map(package, names)), SPDX)
    browser = signed_in("alice")

    first = text_of(browser, f"{path}?q=CURL")
    assert "3 packages with" in first
    assert ("curl-data" in first, "libcurl4" in first, "zlib" in first) == (True, False, False)
    assert 'rel="next" href="?page=2&amp;q=CURL"' in first
    second = text_of(browser, f"{path}?q=CURL&page=2")
    assert ("libcurl4" in second, 'rel="next"' in second, 'rel="prev"' in second) == (True, False, True)
    assert "No package has" in text_of(browser, f"{path}?q=absent")


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999", "²", "%00", "9999"])
def test_a_page_that_does_not_exist_breaks_nothing(alice: Caller, number: str) -> None:
    assert "1 package" in text_of(signed_in("alice"), document(alice, spdx(package("a")), SPDX) + f"?page={number}")


def test_a_provenance_of_buildkit_says_builder_source_and_materials(alice: Caller) -> None:
    metadata = {"https://mobyproject.org/buildkit@v1#metadata": {"vcs": {"source": "git@a:b", "revision": "5f0d"}}}
    materials = [{"uri": "pkg:docker/debian", "digest": {"sha256": "cd"}}]
    predicate = {"builder": {"id": "the builder"}, "materials": materials, "metadata": metadata}

    page = text_of(
        signed_in("alice"), document(alice, statement("https://slsa.dev/provenance/v0.2", predicate), IN_TOTO)
    )

    for words in (
        "SLSA provenance</h1>",
        "the builder",
        "git@a:b",
        "5f0d",
        "pkg:docker/debian",
        "sha256:cd",
        "sha256:ab",
    ):
        assert words in page


def test_a_provenance_of_slsa_1_is_read_in_its_envelope(alice: Caller) -> None:
    workflow = {"repository": "https://example.com/shop", "ref": "refs/heads/main", "path": "release.yml"}
    build = {"externalParameters": {"workflow": workflow}, "resolvedDependencies": [{"uri": "git+https://example.com"}]}
    predicate = {"buildDefinition": build, "runDetails": {"builder": {"id": "the runner"}}}
    signed = envelope(statement("https://slsa.dev/provenance/v1", predicate))

    page = text_of(signed_in("alice"), document(alice, signed, DSSE))

    for words in (
        "the runner",
        "https://example.com/shop",
        "refs/heads/main",
        "release.yml",
        "git+https://example.com",
    ):
        assert words in page
    assert "1 signature, not verified here" in page


@pytest.mark.parametrize("is_bundle", [False, True])
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_an_sbom_is_read_through_its_wrappings(is_bundle: bool, is_wrapped: bool) -> None:
    sbom = spdx(package("curl"))
    found = envelope(statement("https://spdx.dev/Document", {"Data": sbom} if is_wrapped else sbom))

    read = readable_of(json.dumps({"dsseEnvelope": found} if is_bundle else found).encode())

    assert read.sbom
    assert [one.name for one in read.sbom.packages] == ["curl"]
    assert read.signatures == 1


@pytest.mark.parametrize("payload", ["####", "YQ", "é", base64.b64encode(b"[1]").decode(), "WzFd" * 1000])
def test_an_envelope_without_json_is_unreadable(payload: str) -> None:
    with pytest.raises(UnreadableError):
        readable_of(json.dumps({"payloadType": "x", "payload": payload}).encode())


def test_other_json_is_shown_as_it_is(alice: Caller) -> None:
    page = text_of(signed_in("alice"), document(alice, {"critical": {"a": HOSTILE}}, "application/x+json"))

    assert "&quot;critical&quot;: {" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    "content",
    [
        spdx(package(HOSTILE, HOSTILE, licenseDeclared=HOSTILE), package("\ud800", "\udfff")),
        spdx(package({}, []), 7, None, "x", {"externalRefs": [1, {"referenceType": "purl", "referenceLocator": {}}]}),
        {"spdxVersion": "SPDX-" + "9" * 5000, "packages": {"a": 1}, "creationInfo": [1], "name": HOSTILE},
        {"bomFormat": "CycloneDX", "components": [{"components": 7, "licenses": [1, {"license": 1}], "purl": HOSTILE}]},
        {"bomFormat": "CycloneDX", "metadata": {"tools": {"components": [1]}, "component": "x"}, "components": "x"},
        statement(HOSTILE, {"builder": {"id": HOSTILE}, "materials": [1, {"digest": {HOSTILE: HOSTILE}}]}),
        statement("\ud800", {"metadata": [], "invocation": 1, "buildDefinition": "x", "materials": {}}),
        {"predicateType": "x", "subject": {"a": 1}, "predicate": [1]},
        envelope(statement("https://spdx.dev/Document", spdx(package(HOSTILE)))),
        {"dsseEnvelope": {"payloadType": 1, "payload": 2}},
    ],
)
def test_a_hostile_document_is_text_or_nothing(alice: Caller, content: object) -> None:
    page = text_of(signed_in("alice"), document(alice, content, "application/vnd.x+json"))

    assert "<script>alert" not in page
    assert "<img src=x" not in page


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no JSON", "is not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested more than 64 levels"),
        (b'{"a":[' + b"[]," * 450_000 + b"1]}", "more than 300000 values"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":1,"a":2}', "twice"),
        (b"", "is not JSON"),
    ],
)
def test_what_is_no_readable_json_is_said_to_be_so(alice: Caller, content: bytes, reason: str) -> None:
    page = text_of(signed_in("alice"), document(alice, content, "application/x+json"))

    assert "be shown." in page
    assert reason in page


def test_a_byte_order_mark_is_no_part_of_a_document(alice: Caller) -> None:
    content = b"\xef\xbb\xbf" + json.dumps(spdx(package("curl"))).encode()

    assert ">curl<" in text_of(signed_in("alice"), document(alice, content, SPDX))


def test_a_larger_document_is_not_read(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    path = document(alice, spdx(package("curl")), SPDX)
    monkeypatch.setattr("web.stored.MAX_BYTES", 10)
    monkeypatch.setattr("web.stored.blob_store", None)

    page = text_of(signed_in("alice"), path)

    assert "pages read at most 10 B" in page
    assert "oras blob fetch --output document testserver/alice/app@sha256:" in page


def test_a_hundred_thousand_packages_are_read_up_to_a_bound() -> None:
    components = b",".join(b'{"name":"%d"}' % number for number in range(100_000))

    read = readable_of(b'{"bomFormat":"CycloneDX","components":[%b]}' % components)

    assert read.sbom
    assert (len(read.sbom.packages), read.sbom.is_cut) == (MAX_PACKAGES, True)


def test_documents_are_read_one_at_a_time(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    path = document(alice, spdx(package("curl")), SPDX)
    browser = signed_in("alice")
    lock = Lock()
    monkeypatch.setattr("web.image.readable._reading", lock)
    monkeypatch.setattr("web.image.readable.PATIENCE_SECONDS", 0)

    with lock:
        busy = browser.get(path)

    assert (busy.status_code, b"try again" in busy.content) == (503, True)
    assert browser.get(path).status_code == 200


def test_the_pages_of_an_sbom_read_the_storage_once(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [document(alice, spdx(package(name)), SPDX) for name in ("curl", "zlib")]
    browser = signed_in("alice")
    read: list[str] = []

    def counted(blob: Blob) -> bytes:
        read.append(blob.digest)
        return stored_content(blob)

    monkeypatch.setattr("web.stored.content", counted)
    found = [text_of(browser, path) for path in (paths[0], f"{paths[0]}?q=c", paths[1], paths[0])]

    assert len(read) == 3
    assert [">curl<" in page for page in found] == [True, True, False, True]


def test_a_cached_sbom_is_shown_only_where_it_is_linked(alice: Caller) -> None:
    path = document(alice, spdx(package("private")), SPDX)
    assert ">private<" in text_of(signed_in("alice"), path)
    digest = path.rpartition("/")[2]
    # A layer that may be elsewhere need not be in the repository.
    layer = {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": digest, "size": 9}
    layer |= {"urls": ["https://example.org/x"], "annotations": {"org.opencontainers.image.title": "x.json"}}
    Rule.objects.create(subject_kind="account", subject="bob", name="bob/*", actions="*")
    bob = Caller(Client(), "bob", PASSWORDS["bob"])
    config = blob(bob, {}, "application/x", "bob/app")
    own = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
    manifest = put(bob, own, repository="bob/app")["digest"]

    answer = signed_in("bob").get(f"/repositories/bob/app/-/{manifest}/contents/{digest}")

    assert "private" not in answer.content.decode()
    assert "This repository does not have it." in answer.content.decode()


def test_only_the_json_of_a_manifest_has_a_page(alice: Caller) -> None:
    archive = blob(alice, b"x", "application/vnd.oci.image.layer.v1.tar+gzip")
    listed = blob(alice, {"a": 1}, "application/x+json")
    other = blob(alice, {"b": 1}, "application/x+json")
    path = f"{PAGE}{artifact(alice, 'application/x', archive, listed)['digest']}/contents/"
    browser = signed_in("alice")

    statuses = [
        browser.get(path + digest).status_code for digest in (listed["digest"], archive["digest"], other["digest"])
    ]

    assert statuses == [200, 404, 404]
    assert browser.get(f"{path}..%2F..").status_code == 404
    assert browser.get(path + digest_of(b"missing")).status_code == 404


def test_a_document_of_a_private_repository_looks_like_a_missing_one(alice: Caller) -> None:
    path = document(alice, spdx(package("curl")), SPDX)

    assert [Client().get(path).status_code, signed_in("charlie").get(path).status_code] == [404, 404]
    assert signed_in("bob").get(path).status_code == 200
    assert signed_in("bob").post(path).status_code == 405


def test_a_document_takes_few_queries(alice: Caller) -> None:
    path = document(alice, spdx(*(package(f"p{number}") for number in range(500))), SPDX)
    browser = signed_in("alice")
    browser.get(path)

    with CaptureQueriesContext(connection) as queries:
        browser.get(path)

    assert len(queries) <= 12
