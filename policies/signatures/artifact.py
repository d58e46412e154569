"""A manifest that holds signatures, as cosign and notation push it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from configuration.policies.trusted_keys import TrustedKeys
from policies.signatures import cosign, notation
from policies.signatures.cosign import RefusedError

ARTIFACT_TYPES = (
    notation.ARTIFACT_TYPE,
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.cosign.artifact.sig.v1+json",
)
"""What a referrer of an image is, if it may be a signature."""

MAX_LAYERS = 100
MAX_BYTES = 1024 * 1024

Reader = Callable[[str, int], bytes | None]
"""Return the blob with a digest; None when it is missing, or larger than so many bytes."""


def tag_of(digest: str) -> str:
    """Return the tag under which cosign pushes the signatures of a digest."""
    return f"{digest.replace(':', '-')}.sig"


def verify(manifest: bytes, read: Reader, digest: str, keys: TrustedKeys, now: datetime) -> datetime:
    """Verify the newest MAX_LAYERS signatures until one counts; return until when it does.

    cosign appends to the layers. Raises RefusedError with what is wrong with the newest.
    """
    layers = cosign.document(manifest).get("layers")
    refused = None
    for layer in reversed(layers[-MAX_LAYERS:]) if isinstance(layers, list) else ():
        try:
            return _verify(layer if isinstance(layer, dict) else {}, read, digest, keys, now)
        except RefusedError as error:
            refused = refused or error
    raise refused or RefusedError("it has no signature that is verified here")


def _verify(layer: dict[str, Any], read: Reader, digest: str, keys: TrustedKeys, now: datetime) -> datetime:
    media_type, blob = layer.get("mediaType"), layer.get("digest")
    if not isinstance(media_type, str) or not isinstance(blob, str):
        raise RefusedError("it has a layer without media type or digest")
    is_known = media_type in (cosign.SIMPLE_SIGNING, notation.JWS) or media_type.startswith(cosign.BUNDLE)
    if not is_known:
        is_cose = media_type == notation.COSE
        raise RefusedError(
            "it is a COSE envelope, which is not verified here: sign with the JWS format of notation"
            if is_cose
            else "it has no signature that is verified here"
        )
    content = read(blob, MAX_BYTES)
    if content is None:
        raise RefusedError(f"its layer is missing, or larger than {MAX_BYTES // 1024} KiB")
    if media_type == notation.JWS:
        return notation.verify_envelope(content, digest, keys, now)
    if media_type == cosign.SIMPLE_SIGNING:
        annotations = layer.get("annotations")
        signature = annotations.get(cosign.SIGNATURE_ANNOTATION) if isinstance(annotations, dict) else None
        cosign.verify_payload(content, signature, digest, keys)
    else:
        cosign.verify_bundle(content, digest, keys)
    return datetime.max.replace(tzinfo=now.tzinfo)
