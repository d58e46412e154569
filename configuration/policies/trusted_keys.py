"""Trusted keys: public keys, for cosign, and certificates, for notation, from PEM."""

import hashlib
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

MAX_KEYS = 100
MAX_CHARACTERS = 64 * 1024
MIN_RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")

_BEGIN = "-----BEGIN "
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


class InvalidKeysError(ValueError):
    """The text has a block that is no key to trust, or none at all."""


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The keys of one policy; `fingerprint` is the SHA-256 of their PEM, in hexadecimal."""

    public_keys: tuple[PublicKey, ...]
    certificates: tuple[x509.Certificate, ...]
    fingerprint: str


def parse_keys(pem: str) -> TrustedKeys:
    """Return the keys of blocks PUBLIC KEY and CERTIFICATE. Raises InvalidKeysError."""
    _check_size(pem)
    keys, certificates, blocks = [], [], list(_BLOCK.finditer(pem))
    if pem.count(_BEGIN) > len(blocks):
        # Otherwise a key that was cut off would be left out silently.
        raise InvalidKeysError("it has a block without its end")
    if not blocks:
        raise InvalidKeysError("it has no block -----BEGIN PUBLIC KEY----- or -----BEGIN CERTIFICATE-----")
    for position, block in enumerate(blocks, start=1):
        place, label = f"block {position} ({block[1]})", block[1]
        if "PRIVATE" in label:
            raise InvalidKeysError(f"{place} is a private key, which belongs to the signer alone: give its public key")
        if label not in ("PUBLIC KEY", "CERTIFICATE"):
            raise InvalidKeysError(f"{place} is neither a public key nor a certificate")
        key, certificate = _loaded(label, block[0].encode(), place)
        if certificate is None:
            keys.append(key)
        else:
            certificates.append(certificate)
    return TrustedKeys(tuple(keys), tuple(certificates), hashlib.sha256(pem.encode()).hexdigest())


def normalized(pem: str) -> str:
    """Return the blocks of a text without what is between them; a text that has none, or too many, as it is."""
    try:
        _check_size(pem)
    except InvalidKeysError:
        return pem
    unix = pem.replace("\r\n", "\n")
    blocks = [block[0] for block in _BLOCK.finditer(unix)]
    return "\n".join(blocks) if blocks and unix.count(_BEGIN) == len(blocks) else unix.strip()


def _check_size(pem: str) -> None:
    """Raise InvalidKeysError for what takes long to search: each block without an end is looked for to the end."""
    if len(pem) > MAX_CHARACTERS:
        raise InvalidKeysError(f"it has more than {MAX_CHARACTERS} characters")
    count = pem.count(_BEGIN)
    if count > MAX_KEYS:
        raise InvalidKeysError(f"it has {count} blocks; at most {MAX_KEYS} are read")


def _loaded(label: str, pem: bytes, place: str) -> tuple[PublicKey, x509.Certificate | None]:
    """Return the public key of a block, and its certificate if it is one. Raises InvalidKeysError."""
    try:
        if label == "PUBLIC KEY":
            return _checked(load_pem_public_key(pem), place), None
        certificate = x509.load_pem_x509_certificate(pem)
        return _checked(certificate.public_key(), place), certificate
    except InvalidKeysError:
        raise
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidKeysError(f"{place} can't be read: {error}") from error


def _checked(key: object, place: str) -> PublicKey:
    if isinstance(key, RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise InvalidKeysError(f"{place} has {key.key_size} bits; RSA needs at least {MIN_RSA_BITS}")
        return key
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in CURVES:
        return key
    if isinstance(key, Ed25519PublicKey):
        return key
    raise InvalidKeysError(f"{place} is of a kind that is not verified: RSA, P-256, P-384, P-521 or Ed25519 are")
