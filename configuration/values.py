"""The values of the configuration: checked, typed, and with all defaults.

`loading.load` makes a `Configuration` from YAML; the settings and the import of accounts and rules read it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from configuration.company_login import BACKENDS, LDAP_SECTION, OIDC_SECTION, Ldap, Oidc
from configuration.converters import (
    ACCESS_LOG,
    BOOLEAN,
    DATABASE_URL,
    HMAC_SECRET,
    HOST,
    METRICS_TOKEN,
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
from configuration.identities import TrustedIssuers
from configuration.policies import PolicyEntry
from configuration.proxies import ProxyEntry
from configuration.section import Key, Section

Network = IPv4Network | IPv6Network
SubjectKind = Literal["account", "group", "anonymous"]
SigningMethod = Literal["ecdsa", "rsa", "hmac"]
KeyPlace = Literal["folder", "database"]
AccessLog = Literal["off", "text", "json"]
StorageBackend = Literal["filesystem", "s3"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one client. Sizes are in bytes; None means a quarter of what a process has."""

    connections_per_client: Annotated[
        int | None, integer(1, 100_000), Key("Connections of one address, in each process.")
    ] = None
    transfers_per_client: Annotated[
        int | None, integer(1, 4096), Key("Slow transfers of one client, in each process.")
    ] = None
    logins_per_minute: Annotated[
        int, integer(0, 1_000_000), Key("Logins of one address in a minute, in each process; 0 means no limit.")
    ] = 3000
    api_requests_per_minute: Annotated[
        int,
        integer(0, 1_000_000),
        Key("Requests of one account, or address without one, to /api/v1/ in a minute, in each process; 0: no limit."),
    ] = 6000
    # Clients open several at once, and retry refused ones until they give up.
    uploads_per_account: Annotated[int, integer(16, 100_000), Key("Uploads that an account may have open.")] = 1000
    # Clients accept no larger manifests, nor does the parser.
    manifest_size: Annotated[int, size('a size from "1KiB" to "4MiB"', 2**10, 2**22), Key("The largest manifest.")] = (
        4 * 2**20
    )
    form_size: Annotated[
        int, size('a size from "4KiB" to "1MiB"', 2**12, 2**20), Key("The largest form of a token request.")
    ] = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS, which only a reverse proxy can provide."""

    enabled: Annotated[bool, constant(only=False, expected=NO_TLS), Key("TLS is the work of a reverse proxy.")] = False


@dataclass(frozen=True, slots=True)
class Server:
    """Where and how the server listens. `host` is an address without brackets; `""` means all addresses."""

    host: Annotated[str, HOST, Field(alias="addr"), Key("Address and port.")] = ""
    port: Annotated[int, PORT, Field(alias="addr"), Key("Address and port.")] = 5000
    tls: Annotated[Tls, Section(), Key("TLS is the work of a reverse proxy.")] = field(default=Tls(), repr=False)
    public_url: Annotated[str | None, PUBLIC_URL, Key("The URL that clients use.")] = None
    trusted_proxies: Annotated[tuple[Network, ...], NETWORKS, Key("Reverse proxies whose headers count.")] = ()
    workers: Annotated[int, integer(1, 64), Key("Processes; by default one per core, from 2 to 4.")] = field(
        default_factory=lambda: max(2, min(len(os.sched_getaffinity(0)), 4))
    )
    threads: Annotated[int, integer(2, 1024), Key("Requests that each process answers at once.")] = 4
    max_slow_clients: Annotated[
        int,
        integer(1, 4096),
        Key("Slow clients that each process waits for besides its threads.", old_name="transfers"),
    ] = 512
    limits: Annotated[Limits, Section(), Key("Limits of one client.")] = Limits()
    drain: Annotated[
        timedelta,
        duration(timedelta(0), "of at most 1h", timedelta(hours=1)),
        Key("How long to serve on after SIGTERM, not ready, before the stop."),
    ] = timedelta(0)
    pin_workers: Annotated[bool, BOOLEAN, Key("Keep each process on a core of its own.")] = False
    access_log: Annotated[AccessLog, ACCESS_LOG, Key("A line for each request, on standard error.")] = "json"
    data_directory: Annotated[Path, PATH, Key("The folder of the SQLite database and the keys.")] = Path("data")
    watch_config: Annotated[bool, BOOLEAN, Key("Import users and acl when the file changes.")] = False
    secret_key: Annotated[
        str | None,
        SECRET_KEY,
        Key("Signs the cookies of the admin.", is_secret=True, environment="REGISTRY_SERVER_SECRET_KEY"),
    ] = field(default=None, repr=False)
    """Django's SECRET_KEY; None means that the first start writes `<data_directory>/keys/secret.key`."""
    metrics_token: Annotated[
        str | None,
        METRICS_TOKEN,
        Key("The bearer token of /metrics.", is_secret=True, environment="REGISTRY_SERVER_METRICS_TOKEN"),
    ] = field(default=None, repr=False)
    """The bearer token of `/metrics`; None means that nothing is counted, and `/metrics` is 404."""
    traces_endpoint: Annotated[str | None, PUBLIC_URL, Key("The OpenTelemetry collector.")] = None
    """The collector that takes OTLP over HTTP; None means that there are no traces."""

    @property
    def connections(self) -> int:
        """The most open connections of each process: slow clients leave room for others."""
        return max(512, 3 * self.max_slow_clients) + self.threads


@dataclass(frozen=True, slots=True)
class Admin:
    """The address of the admin, and its clients.

    A `port` of None means the address of the registry, `server.addr`; otherwise the admin has its own address, which
    serves nothing else, and `public_url` is its URL. An empty `allowed_networks` means all clients.
    """

    is_enabled: Annotated[bool, BOOLEAN, Field(alias="enabled"), Key("Whether the admin's pages are served.")] = True
    host: Annotated[str, HOST, Field(alias="addr"), Key("An address and port for the admin and /health alone.")] = ""
    port: Annotated[
        int | None, PORT, Field(alias="addr"), Key("An address and port for the admin and /health alone.")
    ] = None
    public_url: Annotated[str | None, PUBLIC_URL, Key("The URL of addr.")] = None
    allowed_networks: Annotated[
        tuple[Network, ...], NETWORKS, Key("The networks whose clients may use the admin.")
    ] = ()
    require_second_factor: Annotated[bool, BOOLEAN, Key("Whether every account needs a second factor.")] = False


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages for everybody."""

    is_enabled: Annotated[bool, BOOLEAN, Field(alias="enabled"), Key("Whether the pages for everybody are served.")] = (
        True
    )


@dataclass(frozen=True, slots=True)
class UserEntry:
    """One entry of `users`; `password` is a bcrypt hash as written in the file.

    `owner` is the group that manages the tokens of a robot, which has no password; None means no robot.
    """

    name: str
    password: str = field(default="", repr=False)
    is_superuser: bool = False
    is_staff: bool = False
    groups: tuple[str, ...] = ()
    is_active: bool = True
    owner: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """One entry of `acl`; `subject` is an account name or pattern, a group, or `""` for anonymous."""

    subject_kind: SubjectKind
    subject: str
    name: str
    actions: tuple[str, ...]
    comment: str = ""
    line: int = 0
    is_deny: bool = False
    tags: str = ""
    networks: tuple[Network, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reserve:
    """The space to keep free on a disk: the smaller of `size` in bytes and `share` of the disk; None leaves one out."""

    size: int | None = 2**30
    share: Fraction | None = Fraction(1, 20)

    def of(self, total: int) -> int:
        """Return the bytes to keep free on a disk of `total` bytes."""
        bounds = [] if self.size is None else [self.size]
        if self.share is not None:
            # Each upload asks, and the arithmetic of fractions is slow.
            bounds.append(total * self.share.numerator // self.share.denominator)
        return min(bounds)


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage of blobs: a folder, or S3 with the options of its django-storages backend.

    `min_free` applies to the disk of the folder and to that of a SQLite database. `max_blob_size` is in bytes, None
    means no limit. `scrub` is the time in which each blob is read once and compared with its digest; None means never.
    Without `deletion` nobody deletes, and the collector goes on.
    With `redirect`, clients download from S3, at `public_endpoint`; None means the endpoint of the registry.
    """

    backend: StorageBackend = "filesystem"
    rootdirectory: Path = Path("data")
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    min_free: Reserve = Reserve()
    max_blob_size: int | None = None
    scrub: timedelta | None = None
    redirect: bool = True
    public_endpoint: str | None = None
    deletion: bool = True


@dataclass(frozen=True, slots=True)
class Database:
    """`url` as dj-database-url parses it; None means SQLite in the data directory."""

    url: Annotated[
        str | None,
        DATABASE_URL,
        Key("SQLite or PostgreSQL.", is_secret=True, environment="REGISTRY_DATABASE_URL"),
    ] = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class GarbageCollector:
    """When garbage collection runs, and what it removes."""

    is_enabled: Annotated[bool, BOOLEAN, Field(alias="enabled"), Key("Whether the server collects by itself.")] = True
    interval: Annotated[timedelta, duration(timedelta(minutes=1), "of at least 1m"), Key("How often.")] = timedelta(
        hours=24
    )
    remove_untagged: Annotated[bool, BOOLEAN, Key("Also remove manifests without a tag that nothing references.")] = (
        False
    )
    grace_period: Annotated[
        timedelta, duration(timedelta()), Key("How long content stays after its last reference.")
    ] = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Audit:
    """Whether events are recorded, and how long they and the history of tags are kept."""

    is_enabled: Annotated[bool, BOOLEAN, Field(alias="enabled"), Key("Whether events are recorded.")] = True
    retention: Annotated[
        timedelta, duration(timedelta(hours=1), "of at least 1h"), Key("How long events are kept.")
    ] = timedelta(days=90)
    history_retention: Annotated[
        timedelta, duration(timedelta(hours=1), "of at least 1h"), Key("How long the history of tags is kept.")
    ] = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Auth:
    """Names, keys and lifetime of tokens. Key paths of None mean keys in `<data_directory>/keys`, made at the start.

    With `keys: database` files are only taken over, at the first start.
    """

    realm: Annotated[str, QUOTED_STRING, Key("Shown by a browser when it asks for a password.")] = "Registry"
    service: Annotated[str, QUOTED_STRING, Key("The audience of tokens.")] = "Docker Registry"
    issuer: Annotated[str, QUOTED_STRING, Key("The issuer of tokens.")] = "registry-auth-server"
    signing_method: Annotated[SigningMethod, choice("ecdsa", "rsa", "hmac"), Key("How tokens are signed.")] = "ecdsa"
    keys: Annotated[KeyPlace, choice("folder", "database"), Key("Where private keys lie.")] = "folder"
    private_key: Annotated[Path | None, PATH, Key("PEM file of an EC P-256 or RSA key.")] = None
    public_key: Annotated[Path | None, PATH, Key("PEM file of the public key.")] = None
    hmac_secret: Annotated[
        str | None,
        HMAC_SECRET,
        Key("Signs and checks tokens, for hmac.", is_secret=True, environment="REGISTRY_AUTH_HMAC_SECRET"),
    ] = field(default=None, repr=False)
    expiration: Annotated[
        timedelta, duration(timedelta(seconds=60), "of at least 60s"), Key("How long a token is valid.")
    ] = timedelta(minutes=30)
    access_token_lifetime: Annotated[
        timedelta,
        duration(timedelta(hours=1), "of at least 1h"),
        Key("Default lifetime of an access token."),
    ] = timedelta(days=90)
    access_token_max_lifetime: Annotated[
        timedelta | None,
        duration(timedelta(hours=1), "of at least 1h"),
        Key("Maximum lifetime of an access token."),
    ] = None
    trusted_issuers: Annotated[TrustedIssuers, Key("Issuers of OIDC whose tokens are logins.")] = ()
    ldap: Annotated[Annotated[Ldap, LDAP_SECTION] | None, Key("A directory whose people may log in.")] = None
    oidc: Annotated[Annotated[Oidc, OIDC_SECTION] | None, Key("A provider to sign in to the pages with.")] = None
    backends: Annotated[tuple[str, ...], BACKENDS, Key("Other authentication backends of Django.")] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """The whole file. None for `users`, `acl` or `proxies`: the file does not manage them; empty: it has none.

    `policies` has the lists that the file manages, by kind.
    """

    path: Path | None = None
    server: Server = Server()
    admin: Admin = Admin()
    pages: Pages = Pages()
    users: tuple[UserEntry, ...] | None = None
    acl: tuple[RuleEntry, ...] | None = None
    policies: Mapping[str, tuple[PolicyEntry, ...]] = field(default_factory=dict)
    proxies: tuple[ProxyEntry, ...] | None = None
    storage: Storage = field(default_factory=Storage)
    database: Database = Database()
    garbage_collector: GarbageCollector = GarbageCollector()
    audit: Audit = Audit()
    auth: Auth = Auth()
    warnings: tuple[str, ...] = ()
    """One line for each valid but questionable value, with its place in the file."""
