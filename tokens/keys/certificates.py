"""Certificates of the public keys, as version 2 of the registry of distribution reads them (`rootcertbundle`).

It takes the keys out of the certificates, and checks neither their signatures nor their times.
"""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from core.private_files import KeyFileError
from tokens.keys.ring import KeyRing

VALID = timedelta(days=3650)


def bundle(keys: KeyRing) -> str:
    """Return a certificate in PEM form of each key, all signed by the active one. Raises KeyFileError for a secret."""
    if keys.active.jwk is None:
        raise KeyFileError("auth.signing_method: hmac has no public key that another registry could check tokens with")
    now = datetime.now(UTC)
    certificates = []
    for key in keys.by_kid.values():
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(key.kid))
            .issuer_name(_name(keys.active.kid))
            .public_key(key.verifying)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + VALID)
            .sign(keys.active.signing, hashes.SHA256())
        )
        certificates.append(certificate.public_bytes(serialization.Encoding.PEM).decode())
    return "".join(certificates)


def _name(kid: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, kid)])
