"""One connection to the directory: each login opens and closes its own, so a wait never outlasts it.

TLS is Python's own, with its check of certificate and name. Referrals are never followed: the password would go to a
server that the configuration does not name.
"""

import logging
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars

from configuration.company_login import Ldap

PAGE = 500
AWAY_SECONDS = 30.0

_DEFAULT_PORTS = {"ldap": 389, "ldaps": 636}
# A password that is not this person's may have all of them: wrong, locked, expired, not allowed to log in now.
_REFUSALS = {
    "invalidCredentials",
    "inappropriateAuthentication",
    "constraintViolation",
    "insufficientAccessRights",
    "noSuchObject",
    "unwillingToPerform",
}

escape = escape_filter_chars
logger = logging.getLogger(__name__)


class DirectoryError(Exception):
    """The directory can't be used; the message says why, for the log and for administrators."""


class ServerLostError(DirectoryError):
    """The server has ended the connection, or does not answer any more; another one of the directory may."""


class Entry:
    """An entry of a search: its DN, and its attributes by name."""

    def __init__(self, response: dict[str, Any]) -> None:
        self.dn: str = response["dn"]
        self._raw = {name.lower(): values for name, values in response["raw_attributes"].items()}

    def texts(self, attribute: str) -> list[str]:
        """Return the values as text; binary ones in hexadecimal."""
        return [_text(value) for value in self._raw.get(attribute.lower(), [])]


def _text(value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return value.hex()
    return text if text.isprintable() else value.hex()


class _Tls(ldap3.Tls):
    """TLS by Python's defaults, in place of ldap3's own check of the name."""

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        context = ssl.create_default_context(cafile=self.ca_certs_file)
        connection.socket = context.wrap_socket(connection.socket, server_hostname=connection.server.host)


class Directory:
    """An open connection to the server `url`, bound as the configured searcher."""

    def __init__(self, connection: Any, url: str) -> None:
        self._connection, self.url = connection, url

    def search(self, base: str, filter_text: str, attributes: Sequence[str]) -> list[Entry]:
        """Return the entries below `base`, in pages. Raises DirectoryError."""
        try:
            found = self._connection.extend.standard.paged_search(
                base, filter_text, attributes=list(attributes), paged_size=PAGE, generator=False
            )
        except LDAPException as error:
            raise ServerLostError(f"the search below {base} failed: {_words(error)}") from error
        result = self._connection.result
        if result["result"] != 0:
            raise DirectoryError(f"the search below {base} failed: {_outcome(result)}")
        # Others are references to other servers, which nobody follows.
        return [Entry(response) for response in found if response["type"] == "searchResEntry"]

    def accepts(self, dn: str, password: str) -> bool:
        """Tell whether the password is that of the entry; the connection is then that person's, and of no more use.

        Raises DirectoryError.
        """
        # An empty password makes it an anonymous bind, which servers let succeed (RFC 4513, section 5.1.2); some read
        # a password up to its first NUL.
        if not dn or not password or "\0" in password:
            return False
        try:
            is_bound: bool = self._connection.rebind(dn, password)
        except LDAPException as error:
            raise ServerLostError(f"the password can't be checked: {_words(error)}") from error
        if not is_bound and self._connection.result["description"] not in _REFUSALS:
            raise DirectoryError(f"the password can't be checked: {_outcome(self._connection.result)}")
        return is_bound


class _Servers:
    """The servers that did not answer a moment ago: they are asked last, so that not every login waits for them.

    In place of ldap3's `ServerPool`, which remembers them for one connection: here each login has its own.
    """

    def __init__(self) -> None:
        self._away_until: dict[str, float] = {}

    def in_order(self, urls: Sequence[str]) -> list[str]:
        """Return the servers in the order of the file, those that are away last."""
        now = time.monotonic()
        return sorted(urls, key=lambda url: self._away_until.get(url, 0.0) > now)

    def lose(self, url: str) -> None:
        self._away_until[url] = time.monotonic() + AWAY_SECONDS


_servers = _Servers()


@contextmanager
def connected(ldap: Ldap) -> Iterator[Directory]:
    """Open a connection to the first server that answers, and bind as the searcher. Raises DirectoryError."""
    connection, url = _first_bound(ldap)
    try:
        yield Directory(connection, url)
    except ServerLostError:
        _servers.lose(url)
        raise
    finally:
        _close(connection)


def _first_bound(ldap: Ldap) -> tuple[Any, str]:
    faults = []
    for url in _servers.in_order(ldap.url):
        try:
            return _bound(ldap, url), url
        except DirectoryError as error:
            _servers.lose(url)
            faults.append(str(error))
            if len(ldap.url) > 1:
                logger.warning("a server of the directory can't be asked", extra={"server": url, "reason": str(error)})
    raise DirectoryError("; ".join(faults))


def _bound(ldap: Ldap, url: str) -> Any:
    parts = urlsplit(url)
    seconds = max(1, round(ldap.timeout.total_seconds()))
    server = ldap3.Server(
        parts.hostname or "",
        parts.port or _DEFAULT_PORTS[parts.scheme],
        use_ssl=parts.scheme == "ldaps",
        tls=_Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(ldap.ca_file) if ldap.ca_file else None),
        get_info=ldap3.NONE,
        connect_timeout=seconds,
    )
    options: dict[str, Any] = {"receive_timeout": seconds, "auto_referrals": False, "check_names": False}
    connection = ldap3.Connection(server, ldap.bind_dn or None, ldap.bind_password or None, **options)
    try:
        connection.open()
        if ldap.start_tls:
            connection.start_tls()
        is_bound = connection.bind()
    except LDAPException as error:
        _close(connection)
        raise DirectoryError(f"{url}: {_words(error)}") from error
    except BaseException:
        _close(connection)
        raise
    if not is_bound:
        outcome = _outcome(connection.result)
        _close(connection)
        raise DirectoryError(f"{url}: it refuses the bind as {ldap.bind_dn or 'anonymous'}: {outcome}")
    return connection


def _close(connection: Any) -> None:
    # An unbind is not answered, so it does not wait.
    with suppress(LDAPException):
        connection.unbind()
    # One that could not be opened leaves its socket.
    if connection.socket is not None:
        connection.socket.close()


def _outcome(result: dict[str, Any]) -> str:
    return " ".join(f"{result['description']} {result['message'] or ''}".split())


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
