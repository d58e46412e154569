"""Signatures, attestations and SBOMs are pulled without a signature, and nothing that a client could run."""

import gzip
import io
import tarfile
from collections.abc import Callable

import pytest

from distribution.signatures.attachment import is_archive
from tests.caller import Caller
from tests.images import Image, digest_of
from tests.policies.signatures.artifacts import SIMPLE, Artifact, bundled, by_tag, referrer, sbom
from tests.policies.signatures.signers import KEY

PLACE = "/v2/alice/app/manifests/"
SPDX = "application/spdx+json"

Push = Callable[..., Image]


def tar(name: str = '{"a') -> bytes:
    """Return an archive that begins like JSON."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(name))
    return made.getvalue()


@pytest.fixture(autouse=True)
def _unsigned(require: Callable[..., object]) -> None:
    require()


def status(caller: Caller, reference: str) -> int:
    return int(caller.get(f"{PLACE}{reference}").status_code)


def test_the_signature_under_its_tag_is_pulled(alice: Caller, bob: Caller, push: Push) -> None:
    signature = by_tag(KEY, push().digest).push(alice, "alice/app")

    assert [status(bob, signature.tag), status(bob, signature.digest)] == [200, 200]


@pytest.mark.parametrize("made", [lambda image: bundled(KEY, image), sbom, lambda image: sbom(image, "text/spdx")])
def test_referrers_of_documents_are_pulled_by_digest(
    alice: Caller, bob: Caller, push: Push, made: Callable[[bytes], Artifact]
) -> None:
    attached = made(push().payload).push(alice, "alice/app")

    assert status(bob, attached.digest) == 200


def test_a_document_under_another_tag_is_refused(alice: Caller, bob: Caller, push: Push) -> None:
    attached = sbom(push().payload).push(alice, "alice/app", "latest")

    assert status(bob, "latest") == 403
    assert status(bob, attached.digest) == 200


def test_a_document_that_is_attached_to_nothing_is_refused(alice: Caller, bob: Caller, push: Push) -> None:
    settings = by_tag(KEY, push().digest).push(alice, "alice/app", "settings")

    assert (status(bob, "settings"), status(bob, settings.digest)) == (403, 403)


@pytest.mark.parametrize("tag", [f"sha256-{'1' * 64}.sig", f"sha256-{'1' * 64}.att"])
def test_an_image_under_the_tag_of_a_signature_is_refused(bob: Caller, push: Push, tag: str) -> None:
    push(tag=tag)

    assert status(bob, tag) == 403


@pytest.mark.parametrize(
    "content",
    [tar(), gzip.compress(tar()), b"BZh91AY", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"],
    ids=["tar", "gzip", "bzip2", "xz", "zstd"],
)
def test_an_image_whose_layers_claim_to_be_documents_is_refused(
    alice: Caller, bob: Caller, push: Push, content: bytes
) -> None:
    image = referrer(push().payload, SPDX, (SPDX, b"{}"), (SIMPLE, content)).push(alice, "alice/app")

    assert status(bob, image.digest) == 403


def test_an_image_with_a_subject_is_refused(alice: Caller, bob: Caller, push: Push) -> None:
    layer = ("application/vnd.oci.image.layer.v1.tar", b"{}")
    image = referrer(push().payload, SPDX, layer).push(alice, "alice/app")

    assert status(bob, image.digest) == 403


def test_an_artifact_without_layers_is_refused(alice: Caller, bob: Caller, push: Push) -> None:
    image = referrer(push().payload, SPDX).push(alice, "alice/app")

    assert status(bob, image.digest) == 403


@pytest.mark.parametrize(
    ("block", "is_one"),
    [
        (b"", False),
        (b"{}", False),
        (b"{" * 512, False),
        (tar()[:511], False),
        (tar("é" * 40)[:512], True),
        (b"\x50\x2a\x4d\x18", True),
        (b"{" + b" " * 511, False),
        (b"\0" * 512, False),
    ],
)
def test_an_archive_is_known_by_its_first_block(block: bytes, is_one: bool) -> None:
    assert is_archive(block) is is_one


def test_a_zip_of_documents_is_no_archive_of_files() -> None:
    assert not is_archive(digest_of(b"").encode() * 10)
