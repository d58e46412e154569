"""Documents that two readers understand differently, or that cost one of them too much."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.attack.raw import ask
from tests.attack.target import CONFIG, LAYER, MANIFEST, MANIFEST_TYPE, Target, scope
from tests.images import descriptor
from tests.project.starting import start

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
BODY: dict[str, Any] = json.loads(MANIFEST)
REPOSITORY = "alice/documents"


@pytest.fixture(scope="module")
def bearer(target: Target) -> str:
    """Return the Authorization header of alice, whose repository holds the blobs of MANIFEST."""
    bearer = target.bearer("alice", scope(REPOSITORY))
    for blob in (CONFIG, LAYER):
        target.push_blob(REPOSITORY, blob, bearer)
    assert target.put(REPOSITORY, "sound", MANIFEST, bearer).status == 201
    return bearer


def changed(**members: Any) -> bytes:
    """Return the manifest with other members."""
    return json.dumps(BODY | members).encode()


def layer(**members: Any) -> bytes:
    """Return the manifest with other members of its layer."""
    return changed(layers=[BODY["layers"][0] | members])


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    """Return the manifest with a member that nothing reads, of so many levels."""
    return MANIFEST[:-1] + f', "x": {opening * depth}1{closing * depth}}}'.encode()


def text(inside: str) -> bytes:
    """Return the manifest with more text before its end."""
    return MANIFEST[:-1] + f", {inside}}}".encode()


HOSTILE: dict[str, bytes] = {
    # One reader takes the first of two, another the last.
    "a member twice": text('"schemaVersion": 2'),
    "another mediaType behind the first": text(f'"mediaType": "{INDEX_TYPE}"'),
    "layers twice": text('"layers": []'),
    "a member twice in a descriptor": MANIFEST.replace(b'"size"', b'"size": 1, "size"', 1),
    "a member twice, once escaped": text('"l\\u0061yers": []'),
    "mediaType in other case": text(f'"MediaType": "{INDEX_TYPE}"'),
    "digest in other case": MANIFEST.replace(b'"digest"', b'"Digest": "x", "digest"', 1),
    # One thing to one reader, another to the next: CVE-2021-41190.
    "layers and manifests": changed(manifests=[descriptor(MANIFEST, MANIFEST_TYPE)]),
    "another mediaType than its Content-Type": changed(mediaType=INDEX_TYPE),
    "schema version 1": changed(schemaVersion=1),
    "schema version of another type": changed(schemaVersion="2"),
    # Encodings.
    "a byte order mark": b"\xef\xbb\xbf" + MANIFEST,
    "UTF-16": MANIFEST.decode().encode("utf-16"),
    "UTF-32": MANIFEST.decode().encode("utf-32-be"),
    "broken UTF-8": text('"x": "?"').replace(b"?", b"\xff"),
    "an overlong slash": text('"x": "?"').replace(b"?", b"\xc0\xaf"),
    "an encoded surrogate": text('"x": "?"').replace(b"?", b"\xed\xa0\x80"),
    "a NUL": MANIFEST + b"\0",
    # What only some readers call JSON.
    "NaN": text('"x": NaN'),
    "Infinity": text('"x": -Infinity'),
    "a comment": text('"x": 1 /* why */'),
    "a comma too many": text('"x": [1,]'),
    "quotes of another kind": text("'x': 1"),
    "a number with a zero before it": text('"x": 01'),
    "more behind the end": MANIFEST + b"{}",
    "a list": b"[" + MANIFEST + b"]",
    "nothing": b"",
    "a gzip stream": bytes.fromhex("1f8b08000000000000ff"),
    # Numbers.
    "a size below zero": layer(size=-1),
    "a size of more than 64 bits": layer(size=2**63),
    "a size with a fraction": layer(size=1.5),
    "a size that is true": layer(size=True),
    "a size that is text": layer(size="39"),
    "a size of 5,000 digits": MANIFEST.replace(b'"size": 39', b'"size": ' + b"9" * 5000),  # CVE-2020-10735
    # Types.
    "layers that are none": changed(layers={"0": 1}),
    "a config that is a list": changed(config=[BODY["config"]]),
    "a digest that is a number": layer(digest=5),
    "a digest with a path": layer(digest="sha256:../../etc/passwd"),
    "annotations that are a list": changed(annotations=["x"]),
    "an annotation that is a number": changed(annotations={"x": 5}),
    "a subject without a digest": changed(subject={"mediaType": MANIFEST_TYPE, "size": 2}),
    # What PostgreSQL can't store: a 500, or half a push.
    "a NUL in an annotation": changed(annotations={"x": "a\0b"}),
    "a NUL in an annotation's name": changed(annotations={"a\0b": "x"}),
    "a lone surrogate in an annotation": changed(annotations={"x": "\ud800"}),
    "a NUL in an artifactType": changed(artifactType="a\0b"),
    "an artifactType of 300 characters": changed(artifactType="x/" + "y" * 300),
    # What costs more than it says.
    "nesting of lists": nested(100_000),
    "nesting of objects": nested(100_000, '{"x":', "}"),
    "nesting just above the bound": nested(64),
    "a million empty lists": nested(1).replace(b"[1]", b"[" + b"[]," * 1_000_000 + b"[]]"),
    "a million numbers": nested(1).replace(b"[1]", b"[" + b"1," * 1_000_000 + b"1]"),
    "300,000 members": nested(1).replace(b"[1]", b"{" + b",".join(b'"%x":1' % n for n in range(300_000)) + b"}"),
    "a million quotes": MANIFEST[:-1] + b', "' + b'\\"' * 1_000_000,
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_manifest_is_refused_and_not_stored(attack: str, bearer: str, target: Target) -> None:
    before = target.stored("manifest", "tag")

    answer = target.put(REPOSITORY, "hostile", HOSTILE[attack], bearer)

    assert answer.status == 400
    assert json.loads(answer.body)["errors"][0]["code"] in {"MANIFEST_INVALID", "DIGEST_INVALID"}
    assert target.stored("manifest", "tag") == before


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_a_manifest_above_4_mib_is_413_and_counted_while_it_is_read(
    chunked: bool, bearer: str, target: Target, address: str
) -> None:
    payload = MANIFEST[:-1] + b" " * (4 * 1024 * 1024) + b"}"
    head = f"PUT /v2/{REPOSITORY}/manifests/large HTTP/1.1\r\nAuthorization: {bearer}\r\nContent-Type: {MANIFEST_TYPE}"

    answer = ask(target.port, head, body=payload, chunked=chunked, address=address)

    assert answer.status == 413


@pytest.mark.parametrize(
    "media_type",
    [
        "text/html",
        "application/json",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "*/*",
        "x",
        "text/html; x=application/vnd.oci.image.manifest.v1+json",
    ],
)
def test_a_manifest_of_another_media_type_is_refused(media_type: str, bearer: str, target: Target) -> None:
    payload = changed(mediaType=media_type)

    assert target.put(REPOSITORY, "typed", payload, bearer, media_type).status == 400
    assert target.put(REPOSITORY, "typed", MANIFEST, bearer, media_type).status == 400


def test_what_was_pushed_is_what_is_pulled(bearer: str, target: Target) -> None:
    """No reader of the registry's own may put the bytes in another order, or other bytes in their place."""
    payload = json.dumps(BODY | {"x": ["\ud83d\udc33", 1e400, 2**80, "<script>"]}, indent=3).encode().replace(
        b"Infinity", b"1e400"
    )  # fmt: skip
    assert target.put(REPOSITORY, "odd", payload, bearer).status == 201

    assert target.request("GET", f"/v2/{REPOSITORY}/manifests/odd", authorization=bearer).body == payload


HOSTILE_YAML = {
    "a billion laughs": "a: &a [x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
    ),
    "an object of Python": "server: !!python/object/apply:os.system ['touch attacked']\n",
    "a key twice": "server: {addr: '127.0.0.1:1'}\nserver: {addr: '0.0.0.0:1'}\n",
}  # fmt: skip


@pytest.mark.parametrize("attack", HOSTILE_YAML)
def test_a_hostile_configuration_ends_the_start_with_its_line(attack: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(HOSTILE_YAML[attack])

    ended = start(tmp_path, more={"CONFIG_PATH": str(tmp_path / "config.yaml")})

    assert ended.returncode != 0
    assert "config.yaml" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml"]
