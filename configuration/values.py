"""The configuration as values: checked, typed, with every default applied.

Nothing here reads a file. `loading.load` makes a `Configuration` out of YAML; settings and the import
into the ORM read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

Network = IPv4Network | IPv6Network
SubjectKind = Literal["account", "group", "anonymous"]
SigningMethod = Literal["rsa", "hmac"]
AccessLog = Literal["off", "text", "json"]
StorageBackend = Literal["filesystem", "s3", "gcs", "azure"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may have or ask for. Sizes are in bytes; None: a quarter of what a process has."""

    connections_per_client: int | None = None
    transfers_per_client: int | None = None
    logins_per_minute: int = 3000
    uploads_per_account: int = 1000
    manifest_size: int = 4 * 2**20
    form_size: int = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Server:
    """Where and how the server listens. `host` is an address without brackets, `""` for every one."""

    host: str = ""
    port: int = 5000
    public_url: str | None = None
    trusted_proxies: tuple[Network, ...] = ()
    workers: int = 2
    threads: int = 4
    max_slow_clients: int = 512
    limits: Limits = Limits()
    pin_workers: bool = False
    access_log: AccessLog = "json"
    data_directory: Path = Path("data")
    watch_config: bool = False
    secret_key: str | None = field(default=None, repr=False)
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

    is_enabled: bool = True
    host: str = ""
    port: int | None = None
    public_url: str | None = None
    allowed_networks: tuple[Network, ...] = ()
    require_second_factor: bool = False


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

    url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class GarbageCollector:
    """When collection runs and what it may remove."""

    is_enabled: bool = True
    interval: timedelta = timedelta(hours=24)
    remove_untagged: bool = False
    grace_period: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Auth:
    """How tokens are named, signed and for how long. Key paths None: made in `<data_directory>/keys`."""

    realm: str = "Registry"
    service: str = "Docker Registry"
    issuer: str = "registry-auth-server"
    signing_method: SigningMethod = "rsa"
    private_key: Path | None = None
    public_key: Path | None = None
    hmac_secret: str | None = field(default=None, repr=False)
    expiration: timedelta = timedelta(minutes=30)


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
