"""The configuration as values: checked, typed, with every default applied.

Nothing here reads a file. `loading.load` makes a `Configuration` out of YAML; settings and the import
into the ORM read it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from configuration.converters import (
    ACCESS_LOG,
    BOOLEAN,
    DATABASE_URL,
    HMAC_SECRET,
    HOST,
    NETWORKS,
    NO_TLS,
    PATH,
    PORT,
    PUBLIC_URL,
    QUOTED_STRING,
    SECRET_KEY,
    choice,
    constant,
    duration,
    integer,
    size,
)
from configuration.section import Key, Section

Network = IPv4Network | IPv6Network
SubjectKind = Literal["account", "group", "anonymous"]
SigningMethod = Literal["rsa", "hmac"]
KeyPlace = Literal["folder", "database"]
AccessLog = Literal["off", "text", "json"]
StorageBackend = Literal["filesystem", "s3", "gcs", "azure"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may have or ask for. Sizes are in bytes; None: a quarter of what a process has."""

    connections_per_client: Annotated[
        int | None, integer(1, 100_000), Key("Connections that each process leaves one address.")
    ] = None
    transfers_per_client: Annotated[
        int | None, integer(1, 4096), Key("Slow transfers that each process leaves one client.")
    ] = None
    logins_per_minute: Annotated[
        int, integer(0, 1_000_000), Key("Logins that each process answers one address in a minute; 0: no bound.")
    ] = 3000
    # Clients open several at once, and wait for those that are refused until they give up.
    uploads_per_account: Annotated[int, integer(16, 100_000), Key("Uploads that an account may have open.")] = 1000
    # Clients read no more of a manifest, and neither does the parser.
    manifest_size: Annotated[int, size('a size from "1KiB" to "4MiB"', 2**10, 2**22), Key("The largest manifest.")] = (
        4 * 2**20
    )
    form_size: Annotated[
        int, size('a size from "4KiB" to "1MiB"', 2**12, 2**20), Key("The largest form that asks for a token.")
    ] = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Tls:
    """That TLS is the reverse proxy's."""

    enabled: Annotated[bool, constant(only=False, expected=NO_TLS), Key("TLS is the work of a reverse proxy.")] = False


def default_workers() -> int:
    """Return one process per core this process may use, at least 2 and at most 4."""
    return max(2, min(len(os.sched_getaffinity(0)), 4))


@dataclass(frozen=True, slots=True)
class Server:
    """Where and how the server listens. `host` is an address without brackets, `""` for every one."""

    host: Annotated[str, HOST, Field(alias="addr"), Key("Address and port.")] = ""
    port: Annotated[int, PORT, Field(alias="addr"), Key("Address and port.")] = 5000
    tls: Annotated[Tls, Section(), Key("TLS is the work of a reverse proxy.")] = field(default=Tls(), repr=False)
    public_url: Annotated[str | None, PUBLIC_URL, Key("The URL that clients use.")] = None
    trusted_proxies: Annotated[tuple[Network, ...], NETWORKS, Key("Reverse proxies whose headers count.")] = ()
    workers: Annotated[int, integer(1, 64), Key("Processes; by default one per core, from 2 to 4.")] = field(
        default_factory=default_workers
    )
    threads: Annotated[int, integer(2, 1024), Key("Requests that each process answers at once.")] = 4
    max_slow_clients: Annotated[
        int,
        integer(1, 4096),
        Key("Slow clients that each process waits for besides its threads.", old_name="transfers"),
    ] = 512
    limits: Annotated[Limits, Section(), Key("What one client may have or ask for.")] = Limits()
    pin_workers: Annotated[bool, BOOLEAN, Key("Keep each process on a core of its own.")] = False
    access_log: Annotated[AccessLog, ACCESS_LOG, Key("A line for each request, on standard error.")] = "json"
    data_directory: Annotated[Path, PATH, Key("Where database and keys lie.")] = Path("data")
    watch_config: Annotated[bool, BOOLEAN, Key("Import users and acl when the file changes.")] = False
    secret_key: Annotated[
        str | None,
        SECRET_KEY,
        Key("Signs the cookies of the admin.", is_secret=True, environment="REGISTRY_SERVER_SECRET_KEY"),
    ] = field(default=None, repr=False)
    """Django's SECRET_KEY; None: made on first run in `<data_directory>/keys/secret.key`."""

    @property
    def connections(self) -> int:
        """How many each process keeps open, with room for others when as many wait for slow clients as may."""
        return max(512, 3 * self.max_slow_clients) + self.threads


@dataclass(frozen=True, slots=True)
class Admin:
    """Who reaches the admin, and where.

    `port` None: at `server.addr`, as everything else; otherwise at an address that serves nothing else. `public_url`
    is the URL of that address. `allowed_networks` empty, as no file says it: every client.
    """

    is_enabled: Annotated[bool, BOOLEAN, Field(alias="enabled"), Key("Whether the admin's pages are served.")] = True
    host: Annotated[str, HOST, Field(alias="addr"), Key("An address and port for the admin and /health alone.")] = ""
    port: Annotated[
        int | None, PORT, Field(alias="addr"), Key("An address and port for the admin and /health alone.")
    ] = None
    public_url: Annotated[str | None, PUBLIC_URL, Key("The URL of addr.")] = None
    allowed_networks: Annotated[tuple[Network, ...], NETWORKS, Key("The clients that the admin answers.")] = ()
    require_second_factor: Annotated[bool, BOOLEAN, Key("Whether everybody needs a second factor.")] = False


@dataclass(frozen=True, slots=True)
class UserEntry:
    """One entry of `users`; `password` is a bcrypt hash as written in the file."""

    name: str
    password: str = field(repr=False)
    is_superuser: bool = False
    is_staff: bool = False
    groups: tuple[str, ...] = ()
    is_active: bool = True
    line: int = 0


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """One entry of `acl`; `subject` is an account name or glob, a group, or `""` for anonymous."""

    subject_kind: SubjectKind
    subject: str
    name: str
    actions: tuple[str, ...]
    comment: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Reserve:
    """What stays free of a disk: the smaller of `size` in bytes and `share` of the disk; None: not bounded by it."""

    size: int | None = 2**30
    share: Fraction | None = Fraction(1, 20)

    def of(self, total: int) -> int:
        """Return the bytes that stay free of a disk of `total` bytes."""
        bounds = [] if self.size is None else [self.size]
        return min(bounds if self.share is None else [*bounds, int(total * self.share)])


@dataclass(frozen=True, slots=True)
class Storage:
    """Where blobs lie: a folder, or a cloud with the options of its django-storages backend.

    `min_free` is about the disk of the folder and that of a SQLite database; a cloud has none. `max_blob_size` is in
    bytes, None: as large as comes. `scrub` is the time in which each blob is read
    once and compared with its digest; None: never.
    """

    backend: StorageBackend = "filesystem"
    rootdirectory: Path = Path("data")
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    min_free: Reserve = Reserve()
    max_blob_size: int | None = None
    scrub: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """`url` as dj-database-url reads it; None: SQLite in the data directory."""

    url: Annotated[
        str | None,
        DATABASE_URL,
        Key("SQLite or PostgreSQL.", is_secret=True, environment="REGISTRY_DATABASE_URL"),
    ] = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class GarbageCollector:
    """When collection runs and what it may remove."""

    is_enabled: Annotated[bool, BOOLEAN, Field(alias="enabled"), Key("Whether the server collects by itself.")] = True
    interval: Annotated[timedelta, duration(timedelta(minutes=1), "of at least 1m"), Key("How often.")] = timedelta(
        hours=24
    )
    remove_untagged: Annotated[bool, BOOLEAN, Key("Also remove manifests that nothing holds.")] = False
    grace_period: Annotated[
        timedelta, duration(timedelta()), Key("How long something must have been unreferenced.")
    ] = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Auth:
    """How tokens are named, signed and for how long. Key paths None: made in `<data_directory>/keys`.

    With `keys: database` files are only taken over, at the first start.
    """

    realm: Annotated[str, QUOTED_STRING, Key("Shown by a browser that asks for a password.")] = "Registry"
    service: Annotated[str, QUOTED_STRING, Key("The audience of tokens.")] = "Docker Registry"
    issuer: Annotated[str, QUOTED_STRING, Key("The issuer of tokens.")] = "registry-auth-server"
    signing_method: Annotated[SigningMethod, choice("rsa", "hmac"), Key("How tokens are signed.")] = "rsa"
    keys: Annotated[KeyPlace, choice("folder", "database"), Key("Where RSA keys lie.")] = "folder"
    private_key: Annotated[Path | None, PATH, Key("PEM file of an RSA key.")] = None
    public_key: Annotated[Path | None, PATH, Key("PEM file of its public half.")] = None
    hmac_secret: Annotated[
        str | None,
        HMAC_SECRET,
        Key("Signs and checks tokens, for hmac.", is_secret=True, environment="REGISTRY_AUTH_HMAC_SECRET"),
    ] = field(default=None, repr=False)
    expiration: Annotated[
        timedelta, duration(timedelta(seconds=60), "of at least 60s"), Key("How long a token counts.")
    ] = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The whole file. `users` or `acl` None: the file does not manage them; empty: there are none."""

    path: Path | None = None
    server: Server = Server()
    admin: Admin = Admin()
    users: tuple[UserEntry, ...] | None = None
    acl: tuple[RuleEntry, ...] | None = None
    storage: Storage = field(default_factory=Storage)
    database: Database = Database()
    garbage_collector: GarbageCollector = GarbageCollector()
    auth: Auth = Auth()
    warnings: tuple[str, ...] = ()
    """What works and should be mended all the same, one line each, with its place in the file."""
