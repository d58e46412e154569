"""Each key: what it accepts, and the exact place and words when it does not."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from ipaddress import ip_network
from pathlib import Path

import bcrypt
import pytest

from configuration import load
from configuration.values import (
    Auth,
    Configuration,
    GarbageCollector,
    Limits,
    Reserve,
    RuleEntry,
    Server,
    UserEntry,
)
from tests.configuration.conftest import Reader

HASH = "$2y$10$" + "a" * 53
FIXTURES = Path(__file__).parents[2] / "fixtures" / "configurations"


def test_the_example_of_the_issue_loads_unchanged(read: Reader) -> None:
    configuration = read((FIXTURES / "example.yaml").read_text())

    assert configuration.warnings == ()
    assert configuration.users is not None
    assert [user.name for user in configuration.users] == ["admin", "developer"]
    assert configuration.acl == (
        RuleEntry("account", "admin", "*", ("*",), line=6),
        RuleEntry("account", "developer", "myorg/backend-*", ("pull", "push"), line=7),
        RuleEntry("account", "developer", "myorg/frontend", ("pull",), line=8),
    )
    assert configuration.storage.rootdirectory == Path("/data/registry")
    assert configuration.server.data_directory == Path("/data/registry")
    assert configuration.garbage_collector == GarbageCollector(remove_untagged=True)
    assert configuration.auth == Auth(
        signing_method="rsa",
        private_key=Path("/data/keys/registry.key"),
        public_key=Path("/data/keys/registry.pub"),
    )


def test_a_hash_is_kept_as_it_is_written(read: Reader) -> None:
    configuration = read((FIXTURES / "example.yaml").read_text())

    assert configuration.users is not None
    assert bcrypt.checkpw(b"admin-password", configuration.users[0].password.encode())


@pytest.mark.parametrize(
    ("addr", "host", "port"),
    [
        (":5000", "", 5000),
        ("127.0.0.1:5000", "127.0.0.1", 5000),
        ("[::1]:5000", "::1", 5000),
        ("localhost:80", "localhost", 80),
        ("0.0.0.0:65535", "0.0.0.0", 65535),
    ],
)
def test_an_address_is_host_and_port(read: Reader, addr: str, host: str, port: int) -> None:
    server = read(f'server: {{addr: "{addr}"}}').server

    assert (server.host, server.port) == (host, port)


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://registry.example.org", "https://registry.example.org"),
        ("https://Registry.example.org:443/", "https://registry.example.org"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("http://my_registry:5000", "http://my_registry:5000"),
    ],
)
def test_a_public_url_is_an_origin(read: Reader, given: str, origin: str) -> None:
    assert read(f'server: {{public_url: "{given}"}}').server.public_url == origin


def test_every_key_of_the_server_is_read(read: Reader, tmp_path: Path) -> None:
    server = read(
        f"""server: {{workers: 3, threads: 8, data_directory: "d", secret_key: "{"k" * 32}",
             tls: {{enabled: false}}, trusted_proxies: ["10.0.0.0/8", "::1"]}}"""
    ).server

    assert server == Server(
        workers=3,
        threads=8,
        data_directory=tmp_path / "d",
        secret_key="k" * 32,
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("::1")),
    )


def test_every_limit_is_read(read: Reader) -> None:
    limits = read(
        """server: {limits: {connections_per_client: 1, transfers_per_client: 2, logins_per_minute: 0,
             api_requests_per_minute: 3, uploads_per_account: 16, manifest_size: "64KiB", form_size: "1MiB"}}"""
    ).server.limits

    assert limits == Limits(1, 2, 0, 3, 16, 64 * 1024, 1024 * 1024)


@pytest.mark.parametrize(("slow", "threads", "all_of_them"), [(1, 2, 514), (512, 4, 1540), (4096, 1024, 13312)])
def test_one_client_may_be_left_all_connections(read: Reader, slow: int, threads: int, all_of_them: int) -> None:
    server = read(
        f"server: {{max_slow_clients: {slow}, threads: {threads}, limits: {{connections_per_client: {all_of_them}}}}}"
    ).server

    assert server.connections == server.limits.connections_per_client == all_of_them


def test_the_old_name_of_max_slow_clients_is_read_with_a_warning(read: Reader) -> None:
    configuration = read("server:\n  transfers: 100")

    assert configuration.server == replace(load(None).server, max_slow_clients=100)
    assert configuration.warnings == (
        "config.yaml:2: server.transfers: the key is now called server.max_slow_clients; "
        "rename it, since a later version refuses the old name",
    )


@pytest.mark.parametrize(
    ("given", "form"), [("json", "json"), ("text", "text"), ('"off"', "off"), ("off", "off"), ("OFF", "off")]
)
def test_the_access_log_has_a_form_or_is_off(read: Reader, given: str, form: str) -> None:
    assert read(f"server: {{access_log: {given}}}").server.access_log == form


def test_relative_paths_start_at_the_folder_of_the_file(
    read: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")

    configuration = read('storage: {filesystem: {rootdirectory: "blobs"}}\nauth: {private_key: "keys/a.pem"}')

    assert configuration.storage.rootdirectory == tmp_path / "blobs"
    assert configuration.server.data_directory == tmp_path / "blobs"
    assert configuration.auth.private_key == tmp_path / "keys" / "a.pem"


def test_data_goes_beside_the_file_without_a_folder_for_blobs(read: Reader, tmp_path: Path) -> None:
    assert read("{}").server.data_directory == tmp_path / "data"


def test_a_user_has_every_key(read: Reader) -> None:
    keys = f'password: "{HASH}", groups: ["a", "b"], active: false, staff: true'

    users = read(f"users:\n  alice: {{{keys}}}").users

    assert users == (UserEntry("alice", HASH, is_staff=True, groups=("a", "b"), is_active=False, line=2),)


def test_a_superuser_is_staff(read: Reader) -> None:
    users = read(f'users: {{alice: {{password: "{HASH}", superuser: true}}}}').users

    assert users is not None
    assert users[0].is_staff


@pytest.mark.parametrize("name", ["a", "9", "a.b_c@d+e$f-g", "a" * 128])
def test_a_user_may_have_this_name(read: Reader, name: str) -> None:
    users = read(f'users: {{"{name}": {{password: "{HASH}"}}}}').users

    assert users is not None
    assert users[0].name == name


def test_empty_sections_are_not_missing_ones(read: Reader) -> None:
    configuration = read("users: {}\nacl: []")

    assert (configuration.users, configuration.acl) == ((), ())


def test_actions_come_in_one_order_and_once(read: Reader) -> None:
    rules = read('acl: [{account: a, name: "*", actions: ["*", delete, pull, push, pull]}]').acl

    assert rules is not None
    assert rules[0].actions == ("pull", "push", "delete", "*")


def test_a_rule_is_for_a_group_or_for_everybody(read: Reader) -> None:
    rules = read(
        """acl:
  - {group: "dev team", name: "a/?[bc]", actions: [pull], comment: "why"}
  - {anonymous: true, name: "public/*", actions: [pull]}"""
    ).acl

    assert rules == (
        RuleEntry("group", "dev team", "a/?[bc]", ("pull",), "why", 2),
        RuleEntry("anonymous", "", "public/*", ("pull",), "", 3),
    )


def test_the_same_rule_again_is_a_warning(read: Reader) -> None:
    rule = '  - {account: a, name: "b", actions: [pull]}\n'

    configuration = read(f"acl:\n{rule}{rule}")

    assert configuration.acl == (RuleEntry("account", "a", "b", ("pull",), line=2),)
    assert configuration.warnings == ("config.yaml:3: acl[1]: the same as the rule of line 2, and not needed",)


@pytest.mark.parametrize("cost", ["04", "09"])
def test_a_cheap_hash_is_a_warning(read: Reader, cost: str) -> None:
    warnings = read(f'users: {{a: {{password: "$2b${cost}${"a" * 53}"}}}}').warnings

    assert warnings == (
        f"config.yaml:1: users.a.password: a bcrypt cost of {int(cost)} makes guesses fast; use at least 10",
    )


@pytest.mark.parametrize(
    ("auth", "warning"),
    [
        (f'hmac_secret: "{"s" * 32}"', "auth.hmac_secret: not used: signing_method is ecdsa"),
        (
            f'signing_method: hmac, hmac_secret: "{"s" * 32}", private_key: "/k"',
            "auth: private_key and public_key are not used: signing_method is hmac",
        ),
    ],
)
def test_a_key_that_nothing_reads_is_a_warning(read: Reader, auth: str, warning: str) -> None:
    assert read(f"auth: {{{auth}}}").warnings == (f"config.yaml:1: {warning}",)


def test_durations_are_read(read: Reader) -> None:
    configuration = read(
        'garbage_collector: {enabled: false, interval: "1h30m", grace_period: "0"}\nauth: {expiration: 90s}'
    )

    assert configuration.garbage_collector == GarbageCollector(
        is_enabled=False, interval=timedelta(minutes=90), grace_period=timedelta()
    )
    assert configuration.auth.expiration == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("1GiB", Reserve(2**30, None)),
        ("1.5MiB", Reserve(3 * 2**19, None)),
        ("20KiB", Reserve(20 * 2**10, None)),
        ("2TiB", Reserve(2**41, None)),
        ("5%", Reserve(None, Fraction(1, 20))),
        ("0.5%", Reserve(None, Fraction(1, 200))),
        ("0", Reserve(0, None)),
    ],
)
def test_a_reserve_is_a_size_or_a_share(read: Reader, given: str, kept: Reserve) -> None:
    assert read(f'storage: {{filesystem: {{}}, min_free: "{given}"}}').storage.min_free == kept


@pytest.mark.parametrize(("given", "size"), [("10GiB", 10 * 2**30), ("1.5MiB", 3 * 2**19)])
def test_the_largest_blob_has_a_size(read: Reader, given: str, size: int) -> None:
    assert read(f'storage: {{s3: {{bucket_name: b}}, max_blob_size: "{given}"}}').storage.max_blob_size == size
    assert read("{}").storage.max_blob_size is None


@pytest.mark.parametrize(("total", "kept"), [(10 * 2**30, 2**29), (2**40, 2**30)])
def test_the_reserve_by_default_is_a_gibibyte_or_a_twentieth(read: Reader, total: int, kept: int) -> None:
    assert read("{}").storage.min_free.of(total) == kept


def test_a_reserve_of_a_cloud_is_a_warning(read: Reader) -> None:
    warnings = read("storage: {s3: {bucket_name: b}, min_free: 1GiB}").warnings

    assert warnings == ("config.yaml:1: storage.min_free: for a SQLite database only: s3 has no disk to keep free",)


def test_blobs_are_read_again_when_told_to(read: Reader) -> None:
    assert read("{}").storage.scrub is None
    assert read('storage: {s3: {bucket_name: b}, scrub: "720h"}').storage.scrub == timedelta(days=30)


def test_redirects_of_a_folder_are_a_warning(read: Reader) -> None:
    warnings = read('storage: {filesystem: {}, redirect: true, public_endpoint: "https://s3.example.org"}').warnings

    told = "not used: the registry itself serves the blobs of a folder"
    assert warnings == tuple(f"config.yaml:1: storage.{key}: {told}" for key in ("redirect", "public_endpoint"))


def test_downloads_from_a_cloud_are_redirected_unless_the_file_says_otherwise(read: Reader) -> None:
    default = read("storage: {s3: {bucket_name: b}}").storage
    told = read('storage: {s3: {bucket_name: b}, redirect: false, public_endpoint: "https://s3.example.org"}').storage

    assert (default.redirect, default.public_endpoint) == (True, None)
    assert (told.redirect, told.public_endpoint) == (False, "https://s3.example.org")


def test_a_cloud_has_the_options_of_its_backend(read: Reader, tmp_path: Path) -> None:
    storage = read(
        """storage:
  s3:
    bucket_name: "b"
    verify: false
    querystring_expire: 60
    object_parameters: {StorageClass: "X", Tags: ["a", 1, null]}"""
    ).storage

    assert storage.backend == "s3"
    assert storage.options == {
        "bucket_name": "b",
        "verify": False,
        "querystring_expire": 60,
        "object_parameters": {"StorageClass": "X", "Tags": ["a", 1, None]},
    }
    assert storage.rootdirectory == tmp_path / "data"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("sqlite:////data/r.sqlite3", "sqlite:////data/r.sqlite3"),
        ("sqlite:///r%20s.sqlite3?timeout=5", "sqlite:///{folder}/r%20s.sqlite3?timeout=5"),
        ("postgres://u:p@h:5432/n", "postgres://u:p@h:5432/n"),
        ("postgresql:///n?host=/run/postgresql", "postgresql:///n?host=/run/postgresql"),
    ],
)
def test_a_database_is_sqlite_with_an_absolute_path_or_postgresql(
    read: Reader, tmp_path: Path, given: str, url: str
) -> None:
    assert read(f'database: {{url: "{given}"}}').database.url == url.format(folder=tmp_path)


def test_without_a_file_there_are_the_defaults(tmp_path: Path) -> None:
    configuration = load(None)

    assert configuration.path is None
    assert configuration.server.data_directory == tmp_path / "data"
    assert configuration.auth == Configuration().auth
