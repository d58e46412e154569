"""Signatures by notation: JWS envelopes of the Notary Project, by a certificate that leads to a trusted one.

Source: signature-envelope-jws.md and trust-store-trust-policy.md of notaryproject/specifications. Timestamps of an
authority are not read: a signature counts as long as its certificates are valid now.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID
from jwt.algorithms import get_default_algorithms

from configuration.policies.trusted_keys import TrustedKeys
from policies.signatures.cosign import RefusedError, decoded, document

ARTIFACT_TYPE = "application/vnd.cncf.notary.signature"
JWS, COSE = "application/jose+json", "application/cose"
MAX_CHAIN = 10

_PAYLOAD = "application/vnd.cncf.notary.payload.v1+json"
_SCHEME, _TIME, _EXPIRY = (f"io.cncf.notary.{name}" for name in ("signingScheme", "signingTime", "expiry"))
_CRITICAL = {_SCHEME, _EXPIRY}
# The algorithm follows from the key, so that an envelope can't choose one.
_OF_RSA = {2048: "PS256", 3072: "PS384", 4096: "PS512"}
_OF_CURVE = {256: "ES256", 384: "ES384", 521: "ES512"}
_ALGORITHMS = get_default_algorithms()


def verify_envelope(envelope: bytes, digest: str, keys: TrustedKeys, now: datetime) -> datetime:
    """Verify a JWS envelope for the digest; return until when it counts. Raises RefusedError."""
    if not keys.certificates:
        raise RefusedError("it is by notation, and the policy has no certificate, only public keys")
    parts = document(envelope)
    chain = _chain(parts.get("header"))
    until = _check_chain(chain, keys.certificates, now)
    protected, payload = parts.get("protected"), parts.get("payload")
    if not isinstance(protected, str) or not isinstance(payload, str):
        raise RefusedError("its envelope has no protected header, or no payload")
    header = document(_from_url(protected))
    _verify(chain[0], header.get("alg"), f"{protected}.{payload}".encode(), _from_url(parts.get("signature")))
    expires_at = _check_header(header)
    if expires_at is not None:
        if expires_at <= now:
            raise RefusedError(f"it expired at {expires_at:%Y-%m-%d %H:%M} UTC")
        until = min(until, expires_at)
    target = document(_from_url(payload)).get("targetArtifact")
    if not isinstance(target, dict) or target.get("digest") != digest:
        raise RefusedError("it signs another digest")
    return until


def _chain(header: object) -> list[x509.Certificate]:
    given = header.get("x5c") if isinstance(header, dict) else None
    if not isinstance(given, list) or not 0 < len(given) <= MAX_CHAIN:
        raise RefusedError(f"its envelope has no chain of at most {MAX_CHAIN} certificates")
    try:
        return [x509.load_der_x509_certificate(decoded(one)) for one in given]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RefusedError("it has a certificate that can't be read") from error


def _check_chain(chain: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], now: datetime) -> datetime:
    """Check that the chain leads to a trusted certificate; return until when all of that part are valid."""
    end = next((place for place, one in enumerate(chain) if one in trusted), None)
    if end is None:
        raise RefusedError("its certificates lead to none that is trusted")
    used = chain[: end + 1]
    for place, certificate in enumerate(used):
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            name = certificate.subject.rfc4514_string()
            ended = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            raise RefusedError(f"the certificate {name} is not valid now, but until {ended}")
        if place:
            _check_authority(certificate, used[place - 1], depth=place - 1)
    _check_leaf(used[0])
    return min(certificate.not_valid_after_utc for certificate in used)


def _check_authority(issuer: x509.Certificate, certificate: x509.Certificate, depth: int) -> None:
    """Check that `issuer`, with `depth` authorities below it, may have issued the certificate, and did."""
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError, TypeError, InvalidSignature) as error:
        raise RefusedError("a certificate of its chain was not issued by the next one") from error
    is_too_long = constraints.path_length is not None and depth > constraints.path_length
    if not constraints.ca or not usage.key_cert_sign or is_too_long:
        raise RefusedError("a certificate of its chain is by one that is no authority")


def _check_leaf(leaf: x509.Certificate) -> None:
    """Check that the certificate is for signing code. Raises RefusedError."""
    try:
        usages: list[x509.ObjectIdentifier] = list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        usages = []
    except (x509.DuplicateExtension, ValueError) as error:
        raise RefusedError("its certificate can't be read") from error
    if usages and ExtendedKeyUsageOID.CODE_SIGNING not in usages:
        raise RefusedError("its certificate is not for signing code")
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise RefusedError("its certificate does not say that it may sign") from error
    if not usage.digital_signature:
        raise RefusedError("its certificate is not for signatures")


def _verify(leaf: x509.Certificate, algorithm: object, content: bytes, signature: bytes) -> None:
    key: Any = leaf.public_key()
    expected = None
    if isinstance(key, RSAPublicKey):
        expected = _OF_RSA.get(key.key_size)
    elif isinstance(key, EllipticCurvePublicKey):
        expected = _OF_CURVE.get(key.key_size)
    if expected is None:
        raise RefusedError("its key is neither RSA of 2048, 3072 or 4096 bits nor P-256, P-384 or P-521")
    if algorithm != expected:
        raise RefusedError(f"its algorithm is not {expected}, as its key demands")
    if not _ALGORITHMS[expected].verify(content, key, signature):
        raise RefusedError("its signature is by another key, or of other bytes")


def _check_header(header: dict[str, Any]) -> datetime | None:
    """Check the signed attributes; return when the signature expires, if ever. Raises RefusedError."""
    if header.get("cty") != _PAYLOAD or header.get(_SCHEME) != "notary.x509":
        raise RefusedError("its scheme is not notary.x509")
    critical = header.get("crit")
    if not isinstance(critical, list) or _SCHEME not in critical:
        raise RefusedError("its header has no list of critical attributes")
    unknown = [name for name in critical if name not in _CRITICAL]
    if unknown:
        raise RefusedError(f"it demands to understand {str(unknown[0])[:100]!r}")
    _time(header.get(_TIME))
    return _time(header[_EXPIRY]) if _EXPIRY in header else None


def _time(value: object) -> datetime:
    """Return a time of RFC 3339. Raises RefusedError."""
    try:
        found = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise RefusedError("it has a time that can't be read")
    return found.astimezone(UTC)


def _from_url(value: object) -> bytes:
    """Return the bytes of base64url without padding. Raises RefusedError."""
    text = value if isinstance(value, str) else "?"
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError("it has a value that is no base64url") from error
