"""Which bytes are a manifest, and what they name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.api.errors import ErrorCode, RegistryError
from distribution.protocol.digest import Digest
from distribution.protocol.manifest_parser import Descriptor, ParsedManifest, parse_manifest
from distribution.protocol.spec import (
    DOCKER_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MANIFEST_TYPES,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
)

FIXTURES = Path(__file__).parents[3] / "fixtures" / "manifests"
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"

Fields = dict[str, Any]


def described(content: str, media_type: str = OCI_LAYER, **fields: object) -> Fields:
    payload = content.encode()
    return {"mediaType": media_type, "digest": str(Digest.of(payload)), "size": len(payload), **fields}


def descriptor(content: str, media_type: str = OCI_LAYER) -> Descriptor:
    payload = content.encode()
    return Descriptor(media_type, Digest.of(payload), len(payload))


def image(**fields: object) -> Fields:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described("config", OCI_CONFIG),
        "layers": [described("layer")],
        **fields,
    }


def index(**fields: object) -> Fields:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [described("child", OCI_MANIFEST)],
        **fields,
    }


def without(fields: Fields, *keys: str) -> Fields:
    return {key: value for key, value in fields.items() if key not in keys}


def parse(document: object, content_type: str | None = None) -> ParsedManifest:
    return parse_manifest(json.dumps(document).encode(), content_type)


def refusal(document: object, content_type: str | None = None) -> str:
    with pytest.raises(RegistryError) as refused:
        parse(document, content_type)

    assert refused.value.code is ErrorCode.MANIFEST_INVALID
    assert refused.value.status == 400
    return refused.value.message


@pytest.mark.parametrize(
    ("name", "content_type", "blobs", "optional", "children"),
    [
        ("docker_image", DOCKER_MANIFEST, 4, 0, 0),
        ("docker_windows_image", DOCKER_MANIFEST, 2, 1, 0),
        ("docker_list", DOCKER_LIST, 0, 0, 2),
        ("oci_image", OCI_MANIFEST, 4, 0, 0),
        ("oci_sha512_image", OCI_MANIFEST, 2, 0, 0),
        ("oci_index", OCI_INDEX, 0, 0, 3),
        ("oci_nested_index", OCI_INDEX, 0, 0, 2),
        ("oci_artifact", OCI_MANIFEST, 2, 0, 0),
        ("helm_chart", OCI_MANIFEST, 2, 0, 0),
        ("cosign_signature", OCI_MANIFEST, 2, 0, 0),
    ],
)
def test_a_real_manifest_is_read(name: str, content_type: str, blobs: int, optional: int, children: int) -> None:
    parsed = parse_manifest((FIXTURES / f"{name}.json").read_bytes(), content_type)

    assert parsed.media_type == content_type
    found = len(parsed.blobs), len(parsed.optional_blobs), len(parsed.children)
    assert found == (blobs, optional, children)


@pytest.mark.parametrize("content_type", [SCHEMA_1, "application/json", DOCKER_MANIFEST, None])
def test_a_real_schema_1_manifest_is_refused_by_name(content_type: str | None) -> None:
    payload = (FIXTURES / "docker_schema1.json").read_bytes()

    with pytest.raises(RegistryError, match="schema 1 manifests are not supported") as refused:
        parse_manifest(payload, content_type)

    assert refused.value.code is ErrorCode.MANIFEST_INVALID


def test_an_image_names_its_config_then_its_layers() -> None:
    parsed = parse(image(layers=[described("one"), described("two")]))

    assert parsed.blobs == (descriptor("config", OCI_CONFIG), descriptor("one"), descriptor("two"))
    assert parsed.artifact_type == OCI_CONFIG


def test_an_index_names_its_children() -> None:
    manifests = [described("image", OCI_MANIFEST, platform={"os": 7}), described("index", OCI_INDEX)]
    parsed = parse(index(manifests=manifests))

    assert parsed.children == (descriptor("image", OCI_MANIFEST), descriptor("index", OCI_INDEX))


@pytest.mark.parametrize(
    "layer",
    [
        described("away", urls=["https://example.com/away"]),
        described("away", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
        described("away", "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", urls=[]),
    ],
)
def test_a_layer_that_clients_get_elsewhere_is_optional(layer: Fields) -> None:
    parsed = parse(image(layers=[described("here", urls=[]), layer, described("too", urls=None)]))

    assert [blob.digest for blob in parsed.optional_blobs] == [Digest.of(b"away")]
    assert parsed.blobs[1:] == (descriptor("here"), descriptor("too"))


@pytest.mark.parametrize(
    ("document", "content_type", "expected"),
    [
        (image(), None, OCI_MANIFEST),
        (image(), "", OCI_MANIFEST),
        (image(), OCI_MANIFEST, OCI_MANIFEST),
        (image(), f"{OCI_MANIFEST}; charset=utf-8", OCI_MANIFEST),
        (image(), f" {OCI_MANIFEST} ;x", OCI_MANIFEST),
        (image(), OCI_MANIFEST.upper(), OCI_MANIFEST),
        (without(image(), "mediaType"), OCI_MANIFEST, OCI_MANIFEST),
        (image(mediaType=""), OCI_MANIFEST, OCI_MANIFEST),
        (image(mediaType=None), DOCKER_MANIFEST, DOCKER_MANIFEST),
        (image(mediaType=DOCKER_MANIFEST), None, DOCKER_MANIFEST),
        (index(), OCI_INDEX, OCI_INDEX),
        (without(index(), "mediaType"), DOCKER_LIST, DOCKER_LIST),
    ],
)
def test_the_media_type_is_what_header_and_body_agree_on(
    document: Fields, content_type: str | None, expected: str
) -> None:
    assert parse(document, content_type).media_type == expected


@pytest.mark.parametrize(
    ("document", "content_type", "detail"),
    [
        (image(), OCI_INDEX, "differ"),
        (image(), DOCKER_MANIFEST, "differ"),
        (image(), "text/html", "differ"),
        (image(), "application/json", "differ"),
        (image(mediaType=OCI_MANIFEST.upper()), OCI_MANIFEST, "differ"),
        (image(mediaType=f"{OCI_MANIFEST};x=y"), None, "is not one of"),
        (without(image(), "mediaType"), None, "'' is not one of"),
        (without(image(), "mediaType"), "text/html", "'text/html' is not one of"),
        (image(mediaType="application/vnd.oci.artifact.manifest.v1+json"), None, "is not one of"),
        (image(mediaType=1), OCI_MANIFEST, "mediaType is not a string"),
        (image(mediaType=SCHEMA_1), None, "schema 1"),
        (without(image(), "mediaType"), SCHEMA_1, "schema 1"),
        (image(fsLayers=[], schemaVersion=1), None, "schema 1"),
    ],
)
def test_a_media_type_that_is_not_agreed_on_or_not_known_is_refused(
    document: Fields, content_type: str | None, detail: str
) -> None:
    assert detail in refusal(document, content_type)


@pytest.mark.parametrize("version", [1, 3, "2", 2.0, True, None])
@pytest.mark.parametrize("document", [image(), index(), image(mediaType=DOCKER_MANIFEST)])
def test_a_schema_version_other_than_2_is_refused(document: Fields, version: object) -> None:
    assert "schemaVersion" in refusal({**document, "schemaVersion": version})


@pytest.mark.parametrize(
    ("document", "content_type"),
    [
        (image(manifests=[]), OCI_MANIFEST),
        (index(config=described("config", OCI_CONFIG)), OCI_INDEX),
        (index(layers=[]), OCI_INDEX),
        (without(image(manifests=[]), "mediaType"), OCI_INDEX),
        (without(index(), "mediaType"), OCI_MANIFEST),
        (without(image(), "mediaType"), DOCKER_LIST),
    ],
)
def test_a_body_that_is_not_of_its_type_is_refused(document: Fields, content_type: str | None) -> None:
    assert " has " in refusal(document, content_type)


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        (image(MediaType=OCI_INDEX), "spelled mediaType"),
        (image(layers=[described("l", mediatype=OCI_CONFIG)]), "layers[0] has a key 'mediatype'"),
        (index(manifests=[described("m", OCI_MANIFEST, DIGEST="x")]), "manifests[0] has a key 'DIGEST'"),
        (image(subject=described("s", OCI_MANIFEST, Size=1)), "subject has a key 'Size'"),
        (without(image(MediaType=OCI_MANIFEST), "mediaType"), "spelled mediaType"),
        (image(Manifests=[]), "spelled manifests"),
        (index(LAYERS=[]), "spelled layers"),
        ({**image(), "\u017fubject": {}}, "spelled subject"),
        (image(config=without(described("c", Digest="x"), "digest")), "config has a key 'Digest'"),
        (image(layers=[described("l", URLS=["x"])]), "layers[0] has a key 'URLS'"),
    ],
)
def test_a_known_key_in_another_case_is_refused(document: Fields, detail: str) -> None:
    assert detail in refusal(document)


@pytest.mark.parametrize("where", ["config", "layers[0]", "manifests[0]", "subject"])
@pytest.mark.parametrize(
    ("broken", "detail"),
    [
        ("x", " is not an object"),
        ([], " is not an object"),
        (described("x", mediaType=1), ".mediaType is not a string"),
        (described("x", mediaType=False), ".mediaType is not a string"),
        (without(described("x"), "digest"), ".digest is not a string"),
        (described("x", digest=None), ".digest is not a string"),
        (described("x", digest=["sha256:"]), ".digest is not a string"),
        (described("x", digest="sha256:abc"), ".digest: 'sha256:abc' is not a digest"),
        (described("x", digest=f"{Digest.of(b'x')}\n"), ".digest: "),
        (described("x", size=2**63), ".size is not a number of bytes"),
        (described("x", size=10**30), ".size is not a number of bytes"),
        (described("x", size=-1), ".size is not a number of bytes"),
        (described("x", size=1.0), ".size is not a number of bytes"),
        (described("x", size=True), ".size is not a number of bytes"),
        (described("x", size="1"), ".size is not a number of bytes"),
        (described("x", urls="https://example.com"), ".urls is not an array"),
        (described("x", urls=[1]), ".urls has an item that is not a string"),
        (described("x", annotations=[]), ".annotations is not an object of strings"),
        (described("x", annotations={"a": 1}), ".annotations is not an object of strings"),
    ],
)
def test_a_broken_descriptor_is_refused_with_its_place(where: str, broken: object, detail: str) -> None:
    field, _, is_listed = where.partition("[")
    document = index() if field == "manifests" else image()
    document[field] = [broken] if is_listed else broken

    assert f"{where}{detail}" in refusal(document)


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        (image(config=None), "config is not an object"),
        (without(image(), "config"), "config is not an object"),
        (index(manifests=[without(described("m"), "mediaType")]), "manifests[0].mediaType is missing"),
        (index(manifests=[described("m", OCI_MANIFEST), described("m", "")]), "manifests[1].mediaType is missing"),
        (image(layers=[None]), "layers[0] is not an object"),
        (image(layers={}), "layers is not an array"),
        (image(layers="x"), "layers is not an array"),
        (index(manifests={}), "manifests is not an array"),
        (image(annotations="x"), "annotations is not an object of strings"),
        (image(annotations={"a": "\0"}), "annotations has NUL or a lone surrogate at 'a'"),
        (index(annotations={"\ud800": ""}), "annotations has NUL or a lone surrogate"),
        (index(annotations={"a": {}}), "annotations is not an object of strings"),
        (image(artifactType=1), "artifactType is not a string"),
        (index(artifactType="a" * 256), "artifactType is not a media type"),
        (image(artifactType="a\0"), "artifactType is not a media type"),
        (image(config=described("c", "a" * 256)), "config.mediaType is not a media type"),
        ([], "not a JSON object"),
    ],
)
def test_a_field_of_another_type_is_refused(document: object, detail: str) -> None:
    assert detail in refusal(document)


@pytest.mark.parametrize(
    "document",
    [
        image(annotations={"maintainer": "a", "Maintainer": "b"}),
        image(layers=[described("layer", annotations={"strasse": "a", "stra\u00dfe": "b"})]),
        image(extra=1, Extra=2, EXTRA={"mediaType": 1, "mediatype": 2}),
        image(fsLayers=[], history=[]),
        image(manifests=None),
        image(number=10**30, tiny=-(2**64), text="\0 \ud800"),
        image(layers=[described("layer", annotations={"a": None, "b": "\0"}, size=None)]),
        image(layers=[without(described("layer"), "size")]),
        image(subject={"digest": str(Digest.of(b"subject"))}),
        image(artifactType="application/vnd.x+json; version=1"),
        image(artifactType="\u00e4" * 255),
    ],
)
def test_what_other_registries_store_and_endangers_nobody_is_read(document: Fields) -> None:
    assert [blob.digest for blob in parse(document).blobs] == [Digest.of(b"config"), Digest.of(b"layer")]


@pytest.mark.parametrize("media_type", [None, "", "a" * 256, "text/html\n", "\u00e4", "\0"])
def test_the_media_type_of_a_layer_is_anything(media_type: str | None) -> None:
    parsed = parse(image(layers=[described("layer", mediaType=media_type)]))

    assert [blob.digest for blob in parsed.blobs] == [Digest.of(b"config"), Digest.of(b"layer")]


def test_an_annotation_that_is_null_is_empty_as_in_go() -> None:
    assert parse(image(annotations={"a": None})).annotations == {"a": ""}


def test_an_image_without_its_layers_and_an_index_without_its_manifests_are_read() -> None:
    assert len(parse(without(image(), "layers")).blobs) == 1
    assert parse(without(index(config=None, layers=None), "manifests")).children == ()


@pytest.mark.parametrize("nothing", [[], None])
def test_an_image_without_layers_and_an_index_without_manifests_are_read(nothing: object) -> None:
    assert parse(image(layers=nothing)).blobs == (descriptor("config", OCI_CONFIG),)
    assert parse(index(manifests=nothing)).children == ()


def test_unknown_fields_and_data_hold_anything() -> None:
    layer = described("layer", data="bGF5ZXI=", platform=[], unknown={"Digest": None})
    parsed = parse(image(layers=[layer], tag=1, signatures=[{}], architecture={"config": []}))

    assert parsed == parse(image())


def test_annotations_are_kept() -> None:
    annotations = {"org.opencontainers.image.title": "Ä", "empty": ""}

    assert parse(image(annotations=annotations)).annotations == annotations
    assert parse(index(annotations=annotations)).annotations == annotations


@pytest.mark.parametrize("absent", [{}, {"annotations": None}, {"annotations": {}}])
def test_no_annotations_are_an_empty_mapping(absent: Fields) -> None:
    assert parse(image(**absent)).annotations == {}


@pytest.mark.parametrize("make", [image, index])
def test_an_oci_manifest_may_have_a_subject(make: Any) -> None:
    subject = described("subject", OCI_MANIFEST)

    assert parse(make(subject=subject)).subject == descriptor("subject", OCI_MANIFEST)
    assert parse(make(subject=None)).subject is None
    assert parse(make()).subject is None


@pytest.mark.parametrize("subject", [described("subject", OCI_MANIFEST), "anything"])
def test_a_subject_in_a_type_of_docker_is_an_unknown_field(subject: object) -> None:
    assert parse(image(mediaType=DOCKER_MANIFEST, subject=subject)).subject is None
    assert parse(index(mediaType=DOCKER_LIST, subject=subject)).subject is None


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (image(), OCI_CONFIG),
        (image(artifactType=""), OCI_CONFIG),
        (image(artifactType=None), OCI_CONFIG),
        (image(artifactType="application/vnd.example"), "application/vnd.example"),
        (image(config=described("{}", OCI_EMPTY), artifactType="a/b"), "a/b"),
        (image(config=described("x", "application/vnd.example.config")), "application/vnd.example.config"),
        (image(mediaType=DOCKER_MANIFEST, config=described("x", DOCKER_CONFIG)), DOCKER_CONFIG),
        (image(mediaType=DOCKER_MANIFEST, artifactType="a/b"), OCI_CONFIG),
        (index(), None),
        (index(artifactType=""), None),
        (index(artifactType="application/vnd.example"), "application/vnd.example"),
        (index(mediaType=DOCKER_LIST, artifactType="a/b"), None),
    ],
)
def test_the_artifact_type_is_its_own_else_that_of_the_config(document: Fields, expected: str | None) -> None:
    assert parse(document).artifact_type == expected


def test_as_many_descriptors_are_read_as_the_bytes_hold() -> None:
    many = [described("x")] * 20_000

    assert len(parse(image(layers=many, subject=many[0])).blobs) == 20_001
    assert len(parse(index(manifests=many)).blobs) == 20_000


def test_four_mebibytes_are_read_and_one_byte_more_is_413() -> None:
    payload = json.dumps(image()).encode().ljust(4 * 1024 * 1024)

    assert parse_manifest(payload, None).media_type == OCI_MANIFEST
    with pytest.raises(RegistryError) as refused:
        parse_manifest(payload + b" ", None)
    assert refused.value.code is ErrorCode.MANIFEST_INVALID
    assert refused.value.status == 413


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(
    ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "annotations", "artifactType"]
)
descriptors = st.dictionaries(
    st.sampled_from(["mediaType", "digest", "size", "urls", "annotations"]), json_values, max_size=3
).map(lambda changed: {**described("x"), **changed})


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([image(), index(), {}]),
    st.dictionaries(fields, json_values | descriptors | st.lists(descriptors, max_size=3), max_size=3),
    st.none() | st.sampled_from(MANIFEST_TYPES) | st.text(max_size=10),
)
def test_any_document_is_read_or_manifest_invalid(base: Fields, changed: Fields, content_type: str | None) -> None:
    outcome: object
    try:
        outcome = parse({**base, **changed}, content_type).media_type
    except RegistryError as error:
        outcome = error.code

    assert outcome in {ErrorCode.MANIFEST_INVALID, *MANIFEST_TYPES}
