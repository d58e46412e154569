"""System checks for a valid configuration with surprising effects.

`check_proxies` runs at every start, the others in `manage.py check --deploy`; docs/deployment.md lists them.
"""

import os
import stat
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004 - Django's name for it

from configuration.models import SECRET_OPTIONS
from configuration.values import Admin, Configuration, Network

# A network wider than the private ranges (10.0.0.0/8, fc00::/7) includes clients.
_WIDEST = {4: 8, 6: 7}
# The output of `openssl rand -base64 32` has about 30 different characters, a repeated word has few.
_FEWEST_CHARACTERS = 12
_ANY_DISK = 2**40
_SHARED_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.glusterfs", "ceph")


@register
def check_proxies(**_kwargs: Any) -> list[CheckMessage]:
    """Warn about trusted networks that include clients, and about cookies without TLS."""
    server = settings.REGISTRY.server
    wide = [str(network) for network in server.trusted_proxies if _is_wide(network)]
    messages: list[CheckMessage] = []
    if wide:
        messages.append(
            Warning(
                f"server.trusted_proxies lists {', '.join(wide)}: every client in it can then claim any address.",
                hint="List the address of the reverse proxy, or the network that only proxies are in.",
                id="registry.W001",
            )
        )
    if server.trusted_proxies and not server.public_url:
        messages.append(
            Warning(
                "server.trusted_proxies is set and server.public_url is not: "
                "the admin's cookies are sent without TLS too.",
                hint="Set server.public_url to the address that users type, as https://registry.example.com.",
                id="registry.W002",
            )
        )
    return messages


@register(Tags.security, deploy=True)
def check_network(**_kwargs: Any) -> Iterator[CheckMessage]:
    """Warn about traffic without TLS, and about proxies that hide their clients."""
    server, admin = settings.REGISTRY.server, settings.REGISTRY.admin
    is_https = (server.public_url or "").startswith("https:")
    urls = {"server.public_url": server.public_url, "admin.public_url": admin.public_url if admin.is_enabled else None}
    for key in (key for key, url in urls.items() if url and _is_in_clear(url)):
        yield Warning(
            f"{key} is http: passwords and everything else are sent unencrypted.",
            hint=f"Put a reverse proxy with TLS in front, and set {key} to its https URL.",
            id="registry.W010",
        )
    if not server.public_url and not _is_loopback(server.host):
        yield Warning(
            "server.addr is open to the network and server.public_url is not set: passwords are sent unencrypted.",
            hint="Set server.public_url to the https URL of the reverse proxy, or listen on 127.0.0.1 alone.",
            id="registry.W011",
        )
    if is_https and not server.trusted_proxies:
        yield Warning(
            "server.public_url is https and server.trusted_proxies is empty: every client has the address of the "
            "proxy, so they share one limit, and all of them are in admin.allowed_networks or none.",
            hint="List the address of the reverse proxy in server.trusted_proxies.",
            id="registry.W012",
        )
    if server.access_log == "off":
        yield Warning(
            "server.access_log is off: nobody can tell afterwards who pulled or pushed what.",
            hint='Set server.access_log to "json" or "text".',
            id="registry.W013",
        )


@register(Tags.security, deploy=True)
def check_bounds(**_kwargs: Any) -> Iterator[CheckMessage]:
    """Warn about limits that are switched off."""
    if not settings.REGISTRY.server.limits.logins_per_minute:
        yield Warning(
            "server.limits.logins_per_minute is 0: one address may request any number of tokens.",
            hint="Leave the key out, or set it to what the largest fleet behind one address needs.",
            id="registry.W021",
        )
    storage = settings.REGISTRY.storage
    if storage.backend == "filesystem" and storage.min_free.of(_ANY_DISK) == 0:
        yield Warning(
            'storage.min_free is "0": an account that may push can fill the disk, and then nobody can push.',
            hint='Leave the key out, or set it to a size as "1GiB" or a share as "5%".',
            id="registry.W022",
        )


@register(Tags.security, deploy=True)
def check_admin(**_kwargs: Any) -> Iterator[CheckMessage]:
    """Warn about an admin that is open to any network by password alone, or without TLS."""
    admin: Admin = settings.REGISTRY.admin
    if not admin.is_enabled:
        return
    server = settings.REGISTRY.server
    is_local = _is_loopback(server.host if admin.port is None else admin.host) and not (
        server.public_url if admin.port is None else admin.public_url
    )
    is_narrow = admin.allowed_networks and not any(map(_is_wide, admin.allowed_networks))
    if not is_narrow and not admin.require_second_factor and not is_local:
        yield Warning(
            "The admin is open to every address, and asks for a password alone.",
            hint="Set admin.require_second_factor to true, or restrict it by admin.allowed_networks or admin.addr.",
            id="registry.W014",
        )
    both = [
        str(network)
        for network in admin.allowed_networks
        if any(proxy.version == network.version and proxy.overlaps(network) for proxy in server.trusted_proxies)
    ]
    if both:
        yield Warning(
            f"admin.allowed_networks lists {', '.join(both)}, which includes a proxy of server.trusted_proxies: the "
            "admin is open to all requests that this proxy passes on without naming the client.",
            hint="List the networks of the administrators, without the address of the proxy.",
            id="registry.W023",
        )
    has_own_address = admin.port is not None and not _is_loopback(admin.host)
    url = admin.public_url or ""
    if has_own_address and not url.startswith("https:") and not _is_in_clear(url):
        yield Warning(
            "admin.addr is open to the network without https: the administrators' passwords are sent unencrypted.",
            hint="Listen on 127.0.0.1, or put a reverse proxy with TLS in front and set admin.public_url to its URL.",
            id="registry.W015",
        )


@register(Tags.security, deploy=True)
def check_secrets(**_kwargs: Any) -> Iterator[CheckMessage]:
    """Warn about secrets that are readable, guessable or shared."""
    configuration: Configuration = settings.REGISTRY
    path = configuration.path
    if path is not None and _has_secrets(configuration) and path.stat().st_mode & stat.S_IROTH:
        yield Warning(
            f"{path} contains password hashes or other secrets, and every user of this machine can read it.",
            hint=f"Make the server's user its owner, then run: chmod o-rwx {path}",
            id="registry.W016",
        )
    given = {
        "server.secret_key": configuration.server.secret_key,
        "server.metrics_token": configuration.server.metrics_token,
        "auth.hmac_secret": configuration.auth.hmac_secret,
    }
    for key, secret in given.items():
        if secret is not None and len(set(secret)) < _FEWEST_CHARACTERS:
            yield Warning(
                f"{key} has few different characters, so it is easy to guess.",
                hint="Make one with: openssl rand -base64 32",
                id="registry.W017",
            )
    is_shared = (configuration.database.url or "").startswith("postgres")
    if configuration.auth.signing_method == "hmac" and is_shared:
        yield Warning(
            "auth.signing_method is hmac, and several servers may share the database: each of them, and each service "
            "that verifies tokens, has the secret that signs them.",
            hint='Set auth.signing_method to "ecdsa", and auth.keys to "database" or a folder that the servers share.',
            id="registry.W018",
        )


@register(Tags.security, deploy=True)
def check_machine(**_kwargs: Any) -> Iterator[CheckMessage]:
    """Warn about a server that runs as root, and about SQLite on a network file system."""
    folder = settings.REGISTRY.server.data_directory
    try:
        owner = folder.stat().st_uid
    except FileNotFoundError:
        owner = os.geteuid()
    if owner == 0:
        yield Warning(
            f"{folder} belongs to root, so the server runs as root: an attacker who gets into it controls the machine.",
            hint="Run it as a user of its own, as docs/deployment.md does, and give the folder to that user.",
            id="registry.W019",
        )
    database = settings.DATABASES["default"]
    if "sqlite" in database["ENGINE"] and (kind := _file_system(Path(database["NAME"]))) in _SHARED_FILE_SYSTEMS:
        yield Warning(
            f"The SQLite database {database['NAME']} is on {kind}: locks do not work there, and it will be corrupted.",
            hint="Set server.data_directory to a folder of a local disk, or database.url to a PostgreSQL.",
            id="registry.W020",
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_in_clear(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _is_wide(network: Network) -> bool:
    return network.prefixlen < _WIDEST[network.version]


def _has_secrets(configuration: Configuration) -> bool:
    secrets = [
        configuration.server.secret_key,
        configuration.server.metrics_token,
        configuration.auth.hmac_secret,
        configuration.database.url,
    ]
    stored = (value for name, value in configuration.storage.options.items() if name in SECRET_OPTIONS)
    return bool(configuration.users) or any([*secrets, *stored])


def _file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the type of the file system of `path`; "" means unknown."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    # The last of the deepest mounts: a later one hides an earlier one.
    found = ("", "")
    for _, folder, kind, *_ in (line.split(" ") for line in lines):
        place = folder.replace("\\040", " ")
        if path.absolute().is_relative_to(place) and len(place) >= len(found[0]):
            found = (place, kind)
    return found[1]
