"""What a manifest is: a container image, a chart, a signature. Its media types tell, which nobody has verified."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from distribution.protocol.spec import INDEX_TYPES
from web.contents import is_signature
from web.document import list_of, object_of, text_of
from web.platforms import IMAGE_CONFIGS, platform_of

# Layers and children that are looked at.
MAX_EXAMINED = 100
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_COSIGN_STATEMENT = "https://sigstore.dev/cosign/sign/v1"
BUNDLE_PREDICATE = "dev.sigstore.bundle.predicateType"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of manifest: its name, its icon in `icon.html`, and the clients that pull it."""

    name: str
    icon: str
    client: str = "oras"


IMAGE = Kind("Container image", "image", "docker")
IMAGE_INDEX = Kind("Image for several platforms", "index", "docker")
INDEX = Kind("Index", "index")
CHART = Kind("Helm chart", "helm", "helm")
SIGNATURE = Kind("Signature", "signature")
SBOM = Kind("SBOM", "sbom")
ATTESTATION = Kind("Attestation", "attestation")
WASM = Kind("WebAssembly module", "wasm")
POLICY = Kind("OPA policy", "policy")
ARTIFACT = Kind("Artifact", "artifact")

# Beginnings of media types, of the artifact, its config, and its layers.
_BY_TYPE = (
    (HELM_CONFIG, CHART),
    ("application/vnd.dev.cosign.simplesigning", SIGNATURE),
    ("application/spdx", SBOM),
    ("text/spdx", SBOM),
    ("application/vnd.cyclonedx", SBOM),
    ("application/vnd.syft", SBOM),
    ("application/vnd.in-toto", ATTESTATION),
    ("application/vnd.dsse.envelope", ATTESTATION),
    ("application/vnd.wasm.", WASM),
    ("application/wasm", WASM),
    ("application/vnd.module.wasm.", WASM),
    ("application/vnd.cncf.openpolicyagent.", POLICY),
    ("application/vnd.cncf.flux.", Kind("Flux source", "artifact")),
    ("application/vnd.sylabs.sif.", Kind("Singularity image", "image")),
    ("application/vnd.docker.ai.", Kind("Model", "artifact")),
    ("application/vnd.cncf.model.", Kind("Model", "artifact")),
    ("application/vnd.buildkit.cacheconfig.", Kind("Build cache", "artifact")),
)
_PREDICATES = (
    ("https://slsa.dev/provenance/", "SLSA provenance"),
    ("https://slsa.dev/verification_summary/", "SLSA verification summary"),
    ("https://spdx.dev/", "SPDX SBOM"),
    ("https://cyclonedx.org/", "CycloneDX SBOM"),
    ("https://syft.dev/bom", "Syft SBOM"),
    ("https://cosign.sigstore.dev/attestation/vuln/", "vulnerability scan"),
    ("https://in-toto.io/attestation/vulns/", "vulnerability scan"),
    ("https://openvex.dev/", "OpenVEX"),
    (_COSIGN_STATEMENT, "cosign signature"),
)


def kind_of(media_type: str, artifact_type: str, document: Mapping[str, Any]) -> Kind:
    """Return the kind of a manifest; `document` may be empty if it is too large to be looked into."""
    if media_type in INDEX_TYPES:
        entries = map(object_of, list_of(document.get("manifests"))[:MAX_EXAMINED])
        return IMAGE_INDEX if any(platform_of(entry.get("platform")) for entry in entries) else INDEX
    if is_signature(artifact_type):
        predicate = text_of(object_of(document.get("annotations")).get(BUNDLE_PREDICATE))
        return ATTESTATION if predicate and predicate != _COSIGN_STATEMENT else SIGNATURE
    config = text_of(object_of(document.get("config")).get("mediaType"))
    layers = list_of(document.get("layers"))[:MAX_EXAMINED]
    types = (artifact_type, config, *(text_of(object_of(layer).get("mediaType")) for layer in layers))
    for prefix, kind in _BY_TYPE:
        if any(found.startswith(prefix) for found in types):
            return kind
    return IMAGE if config in IMAGE_CONFIGS else ARTIFACT


_DOCUMENTS = (
    ("application/spdx", "SPDX SBOM"),
    ("application/vnd.cyclonedx", "CycloneDX SBOM"),
    ("application/vnd.syft", "Syft SBOM"),
    ("application/vnd.dev.cosign.simplesigning", "what is signed"),
    ("application/jose", "signature envelope"),
    ("application/vnd.dev.sigstore.bundle", "Sigstore bundle"),
    ("application/vnd.in-toto", "in-toto statement"),
    ("application/vnd.dsse.envelope", "signed statement"),
)


def predicate_name(predicate_type: str) -> str:
    """Return what a predicate of in-toto is called; its type if it is not known."""
    return _named(predicate_type, _PREDICATES)


def _named(text: str, names: Sequence[tuple[str, str]]) -> str:
    return next((name for prefix, name in names if text.startswith(prefix)), text)


@dataclass(frozen=True, slots=True)
class Document:
    """A blob of a manifest that a page can show."""

    label: str
    digest: str


def documents_of(manifest: Mapping[str, Any]) -> list[Document]:
    """Return the layers that are JSON by their media type or file name."""
    layers = map(object_of, islice(list_of(manifest.get("layers")), MAX_EXAMINED))
    return [found for layer in layers if (found := document_in(layer))]


def document_in(layer: Mapping[str, Any]) -> Document | None:
    """Return the layer as a document; None if it is no JSON."""
    media_type, annotations = text_of(layer.get("mediaType")), object_of(layer.get("annotations"))
    title = text_of(annotations.get("org.opencontainers.image.title"))
    if not (media_type.endswith(("+json", "/json")) or "+json;" in media_type or title.endswith(".json")):
        return None
    predicate = text_of(annotations.get("in-toto.io/predicate-type")) or text_of(annotations.get("predicateType"))
    return Document(predicate_name(predicate) or title or _named(media_type, _DOCUMENTS), text_of(layer.get("digest")))
