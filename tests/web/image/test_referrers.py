"""The tree of what refers to an image."""

import pytest

from tests.caller import Caller
from tests.web.image.artifacts import HOSTILE, IN_TOTO, PAGE, artifact, blob, image, index, platform, put
from tests.web.test_pages import signed_in, text_of

SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"


def test_a_signature_of_an_sbom_of_an_image_is_nested(alice: Caller) -> None:
    subject = image(alice, {}, b"x", reference="v1")
    sbom = artifact(alice, "application/spdx+json", blob(alice, {"a": 1}, "application/spdx+json"), subject=subject)
    signature = artifact(alice, SIGNATURE, subject=sbom)

    page = text_of(signed_in("alice"), f"{PAGE}v1")

    tree = page[page.index('<div class="tree">') : page.index("<h2>Compare")]
    before, _, within = tree.partition("<strong>SBOM")
    assert "<ul>" in within.partition("<strong>Signature")[0]
    assert f'href="{PAGE}{signature["digest"]}"' in within
    assert f"/-/{sbom['digest']}/contents/" in within
    assert before.count("<ul>") == 1


def test_tags_of_cosign_are_referrers(alice: Caller) -> None:
    subject = image(alice, {}, b"x", reference="v1")
    tag = subject["digest"].replace(":", "-", 1)
    layer = blob(alice, {"a": 1}, "application/vnd.dev.cosign.simplesigning.v1+json")
    image(alice, {}, reference=f"{tag}.sig", layers=[layer])

    page = text_of(signed_in("alice"), f"{PAGE}v1")

    assert "<strong>Signature" in page
    assert f'href="{PAGE}{tag}.sig"' in page


def test_a_tag_of_cosign_that_names_its_own_subject_ends_the_tree(alice: Caller) -> None:
    subject = image(alice, {}, b"x", reference="v1")
    image(alice, {}, b"x", reference=subject["digest"].replace(":", "-", 1) + ".sig")

    assert '<div class="tree">' not in text_of(signed_in("alice"), f"{PAGE}v1")


def test_an_attestation_of_buildkit_is_of_its_platform_and_no_platform(alice: Caller) -> None:
    images = [image(alice, {"n": name}, name.encode()) | platform(name) for name in ("amd64", "arm64")]
    layer = blob(alice, {}, IN_TOTO, annotations={"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"})
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": images[0]["digest"]}
    attestation = image(alice, {}, layers=[layer]) | platform("unknown", "unknown") | {"annotations": about}
    index(alice, *images, attestation, reference="all")
    browser = signed_in("alice")

    first, second = text_of(browser, f"{PAGE}all"), text_of(browser, f"{PAGE}all?platform=linux/arm64")

    assert "Read SLSA provenance" in first
    assert "Read SLSA provenance" not in second
    assert first.count('href="?platform=') == 2


def test_the_tree_is_bounded_in_number(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.image.referrers.MAX_NODES", 3)
    subject = image(alice, {}, b"x", reference="v1")
    for number in range(5):
        artifact(alice, f"application/vnd.kind{number}", subject=subject)

    page = text_of(signed_in("alice"), f"{PAGE}v1")

    assert page.count("<strong>Artifact") == 3
    assert "There are more; the first 3 are shown" in page


def test_the_tree_is_bounded_in_depth(alice: Caller) -> None:
    subject = image(alice, {}, b"x", reference="v1")
    for number in range(6):
        subject = artifact(alice, f"application/vnd.depth{number}", subject=subject)

    page = text_of(signed_in("alice"), f"{PAGE}v1")

    assert ("depth2" in page, "depth3" in page) == (True, False)


def test_a_large_referrer_is_listed_and_not_looked_into(alice: Caller) -> None:
    subject = image(alice, {}, b"x", reference="v1")
    layer = blob(alice, {}, "application/spdx+json", annotations={"a": "x" * 20_000})
    artifact(alice, "application/spdx+json", layer, subject=subject)

    page = text_of(signed_in("alice"), f"{PAGE}v1")

    assert "<strong>SBOM" in page
    assert "/contents/" not in page


def test_a_bundle_of_sigstore_is_what_it_says(alice: Caller) -> None:
    subject = image(alice, {}, b"x", reference="v1")
    bundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
    for predicate in ("https://slsa.dev/provenance/v1", "https://sigstore.dev/cosign/sign/v1", HOSTILE):
        annotations = {"dev.sigstore.bundle.predicateType": predicate}
        artifact(alice, bundle, blob(alice, {}, bundle), subject=subject, annotations=annotations)

    page = text_of(signed_in("alice"), f"{PAGE}v1")

    assert page.count("<strong>Attestation") == 2
    assert page.count("<strong>Signature") == 1
    assert "<script>alert" not in page


def test_referrers_of_another_repository_are_not_shown(alice: Caller) -> None:
    subject = image(alice, {}, b"x", reference="v1")
    other = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
    put(alice, other | {"subject": subject, "artifactType": "application/vnd.elsewhere"}, repository="alice/other")

    assert "elsewhere" not in text_of(signed_in("alice"), f"{PAGE}v1")
