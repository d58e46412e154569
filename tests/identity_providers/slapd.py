"""A real slapd with a few people and groups; its entries are changed through ldap3."""

import datetime
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import ldap3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from ldap3.core.exceptions import LDAPNoSuchObjectResult

from tests.ports import free_port

SUFFIX = "dc=example,dc=com"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{SUFFIX}", "directory-secret"
PEOPLE, GROUPS = f"ou=people,{SUFFIX}", f"ou=groups,{SUFFIX}"

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
database mdb
suffix "{suffix}"
rootdn "{admin}"
rootpw {password}
directory {folder}
"""


class Slapd:
    """The server; `url` is without TLS, `tls_url` with it, by a certificate of `ca_file`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.tls_port = free_port(), free_port()
        self.url, self.tls_url = f"ldap://127.0.0.1:{self.port}", f"ldaps://127.0.0.1:{self.tls_port}"
        self.ca_file = folder / "server.pem"
        self._process: subprocess.Popen[bytes] | None = None
        _certify(folder)
        values = {"folder": folder, "suffix": SUFFIX, "admin": ADMIN, "password": ADMIN_PASSWORD}
        (folder / "slapd.conf").write_text(_CONFIGURATION.format(**values))

    def start(self) -> None:
        """Start the server, and return once it answers."""
        self._process = subprocess.Popen(
            ["slapd", "-d", "0", "-f", str(self.folder / "slapd.conf"), "-h", f"{self.url}/ {self.tls_url}/"]
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.tls_port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("slapd does not answer")

    def stop(self) -> None:
        """Stop the server, so that its ports refuse connections."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def kill(self) -> None:
        """End the server at once, with its connections."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the server meanwhile."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Open a connection that may change everything."""
        server = ldap3.Server("127.0.0.1", self.port, get_info=ldap3.NONE)
        connection = ldap3.Connection(server, ADMIN, ADMIN_PASSWORD, auto_bind=True, raise_exceptions=True)
        try:
            yield connection
        finally:
            connection.unbind()

    def fill(self) -> None:
        """Put the entries of every test there, in place of those of the last one."""
        with self.connection() as connection:
            with suppress(LDAPNoSuchObjectResult):
                connection.search(SUFFIX, "(objectClass=*)")
            for dn in sorted((entry["dn"] for entry in connection.response or ()), key=len, reverse=True):
                connection.delete(dn)
            connection.add(SUFFIX, ["dcObject", "organization"], {"dc": "example", "o": "Example"})
            for base in (PEOPLE, GROUPS):
                connection.add(base, "organizationalUnit")
            for name in ("lara", "mats"):
                add_person(connection, name)
            add_group(connection, "registry-team", [person("lara")])
            add_group(connection, "registry-all", [group("registry-team")])
            add_group(connection, "chess", [person("lara")])


def person(name: str) -> str:
    """Return the DN of a person."""
    return f"uid={name},{PEOPLE}"


def group(name: str) -> str:
    """Return the DN of a group."""
    return f"cn={name},{GROUPS}"


def add_person(connection: Any, name: str) -> None:
    values = {"cn": name, "sn": name, "userPassword": f"{name} of the directory"}
    connection.add(person(name), "inetOrgPerson", values)


def add_group(connection: Any, name: str, members: list[str]) -> None:
    connection.add(group(name), "groupOfNames", {"member": members})


def _certify(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "server.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
