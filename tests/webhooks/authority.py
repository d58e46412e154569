"""A private authority, and certificates of it for servers."""

import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@cache
def _key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class Authority:
    """An authority; `pem` is its certificate."""

    def __init__(self, name: str = "the authority of the tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = self._signed(self._name, self._key.public_key(), timedelta(days=1), is_authority=True)

    def server(
        self, folder: Path, address: str = "127.0.0.1", lifetime: timedelta = timedelta(days=1)
    ) -> ssl.SSLContext:
        """Return the context of a server with a certificate for that address."""
        key = _key(0)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
        pem = self._signed(name, key.public_key(), lifetime, address=address)
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        together = folder / "server.pem"
        together.write_text(key.private_bytes(serialization.Encoding.PEM, *form).decode() + pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(together)
        return context

    def _signed(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePublicKey,
        lifetime: timedelta,
        *,
        address: str = "",
        is_authority: bool = False,
    ) -> str:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self._name, name, key, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=2)).not_valid_after(now + lifetime)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        if address:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
