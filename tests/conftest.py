"""The cast and its props, and what becomes of a test whose program is not installed.

alice owns alice/*; bob may pull it; charlie may do nothing; everybody may pull public/*, which alice owns too.
"""

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path

import bcrypt
import pytest
from django.core.management.color import no_style
from django.db import connection
from django.test import Client, TransactionTestCase
from pytest_django import Settings

from accounts import hashers, permissions_version
from accounts.hashers import ImportedBCryptHasher, stored_form
from accounts.models import Account
from acl.models import Rule
from distribution.uploads import leases
from policies.models import Quota
from tests.caller import Caller
from tests.images import Image, push_blob, push_image
from tests.left_out import OF_FILES
from tests.object_folders import ObjectFolders
from tests.storages import is_s3
from tokens.keys import ring

PASSWORDS = {"alice": "alice's password", "bob": "bob's password", "charlie": "charlie's password"}

# A new password costs less, and a wrong name too: tests set and try many.
REAL_ROUNDS, ImportedBCryptHasher.rounds = ImportedBCryptHasher.rounds, 4
REAL_DECOY, hashers._DECOY = hashers._DECOY, hashers._DECOY.replace("$10$", "$04$")

NOT_INSTALLED = "not installed"
# Beginnings of paths: trials of whole programs, which take a third of the time of all tests.
CHECKED_ALONE = (
    "api/test_schema_fuzz.py",
    "backup/test_concurrent_pushes.py",
    "backup/test_documents.py",
    "bench/test_growth.py",
    "bench/test_siege.py",
    "bench/test_smoke.py",
    "bench/test_soak.py",
    "bench/test_walk.py",
    "browser",
    "cases",
    "clients/test_chromium.py",
    "clients/test_cluster.py",
    "clients/test_crowd.py",
    "clients/test_docker_engine.py",
    "clients/test_harbor.py",
    "clients/test_mirror.py",
    "clients/test_pull_through.py",
    "clients/test_rolling_restart.py",
    "clients/test_slow_clients.py",
    "clients/test_stalled_line.py",
    "clients/test_token_server.py",
    "collector/test_two_servers.py",
    "distribution/storage/test_bucket_owner.py",
    "distribution/storage/test_s3_registry.py",
    "faults/test_clock.py",
    "faults/test_kill_s3.py",
    "image",
    "registry_copy/test_kill.py",
    "registry_copy/test_move.py",
    "registry_copy/test_s3.py",
    "registry_copy/test_trial.py",
    "storage_copy/test_s3.py",
    "stress",
    "webhooks/test_docker_registry.py",
)
# Whether nothing is named on the command line. The processes that share the tests inherit it.
_IS_WHOLE = "REGISTRY_TESTS_ARE_ALL"
# Beginnings of paths: what has nothing to do with the database, or starts one of its own choice, runs on SQLite alone.
ON_ANY_DATABASE = (
    "acl/test_coverage.py",
    "acl/test_glob.py",
    "acl/test_name_range.py",
    "attack/test_globs.py",
    "attack/test_names.py",
    "attack/test_webhooks.py",
    "attack/test_wire.py",
    "bench",
    "browser",
    "clients/test_base_image.py",
    "clients/test_harbor.py",
    "clients/test_hardened_container.py",
    "clients/test_left_out.py",
    "clients/test_proxy_limits.py",
    "clients/test_s3.py",
    "clients/test_stalled_line.py",
    "configuration",
    "core/api",
    "core/metrics",
    "core/outgoing",
    "core/test_",
    "deploy/test_move.py",
    "diagnostics",
    "distribution/protocol",
    "distribution/storage/test_contract.py",
    "distribution/storage/test_local.py",
    "distribution/storage/test_part_buffer.py",
    "distribution/storage/test_s3.py",
    "distribution/storage/test_s3_parts.py",
    "distribution/storage/test_s3_registry.py",
    "distribution/storage/test_s3_silent.py",
    "distribution/uploads/test_resumable_hash.py",
    "image",
    "faults/test_kill_s3.py",
    "identity_providers/test_server.py",
    "monitoring/test_deploy.py",
    "monitoring/test_documents.py",
    "provisioning/docker_auth/test_decisions.py",
    "registry_copy/test_move.py",
    "server/test_fast_head.py",
    "startup/test_command_line.py",
    "storage_copy/test_s3.py",
    "supply",
    "test_container.py",
    "test_preloaded.py",
    "test_upgrade.py",
    "tokens/test_scope.py",
    "webhooks/test_docker_registry.py",
    "webhooks/test_header_rules.py",
    "webhooks/test_signature.py",
)
# Beginnings of paths: what waits or computes for more than ten seconds, so that no process does it while the others
# have nothing left to do.
FIRST = (
    "image",
    "clients/test_stalled_line.py",
    "cases",
    "stress",
    "api/test_schema_fuzz.py",
    "security/test_memory.py",
    "clients/test_slow_clients.py",
    "clients/test_cluster.py",
    "clients/test_rolling_restart.py",
    "collector/test_two_servers.py",
    "faults",
    "fuzz",
    "backup/test_concurrent_pushes.py",
    "browser/test_accessibility.py",
    "storage_copy/test_s3.py",
    "bench/test_soak.py",
    "bench/test_growth.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what FIRST names; leave out on PostgreSQL what ON_ANY_DATABASE names, on S3 what OF_FILES names."""
    first = _below_tests(FIRST)
    items.sort(key=lambda item: not item.nodeid.startswith(first))
    elsewhere: tuple[str, ...] = ()
    if os.environ.get("REGISTRY_DATABASE_URL", "").startswith("postgres"):
        elsewhere += _below_tests(ON_ANY_DATABASE)
    if is_s3():
        elsewhere += _below_tests(chain.from_iterable(OF_FILES.values()))
    left_out = [item for item in items if item.nodeid.startswith(elsewhere)] if elsewhere else []
    config.hook.pytest_deselected(items=left_out)
    gone = set(left_out)
    items[:] = [item for item in items if item not in gone]


def pytest_configure(config: pytest.Config) -> None:
    """Remember in the first process whether the command line names tests."""
    if not hasattr(config, "workerinput"):
        os.environ[_IS_WHOLE] = "" if config.args_source is pytest.Config.ArgsSource.ARGS else "1"


def _below_tests(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"tests/{name}" for name in names)


def pytest_collection_finish() -> None:
    """Exempt what collection made from the garbage collector, which would look through it again and again."""
    gc.collect()
    gc.freeze()


def _is_complete() -> bool:
    """Whether every test runs, and a missing program is a failure."""
    return bool(os.environ.get("REGISTRY_REQUIRE_CLIENTS"))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what `make check` alone runs when the command line names no tests, without importing it."""
    if not os.environ[_IS_WHOLE] or _is_complete():
        return None
    return str(collection_path.relative_to(Path(__file__).parent)).startswith(CHECKED_ALONE) or None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave a test out when its program is missing; with REGISTRY_REQUIRE_CLIENTS that is a failure."""
    named = [program for marker in item.iter_markers("client") for program in marker.args]
    missing = ", ".join(program for program in named if where(program) is None)
    if not missing:
        return
    message = f"{NOT_INSTALLED}: {missing}"
    if _is_complete():
        pytest.fail(message, pytrace=False)
    item.user_properties.append((NOT_INSTALLED, missing))
    pytest.skip(message)


def where(program: str) -> str | None:
    """Return the path of a program, which may be a package of requirements-dev.txt; None when it is not installed."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return shutil.which(program, path=os.pathsep.join(folders))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were left out, so that a green run does not promise what it did not try."""
    if os.environ[_IS_WHOLE] and not _is_complete():
        terminalreporter.write_line(f"left out (make check runs them): {', '.join(CHECKED_ALONE)}", yellow=True)
    properties = [dict(report.user_properties) for report in terminalreporter.stats.get("skipped", [])]
    left_out = [found[NOT_INSTALLED].split(", ") for found in properties if NOT_INSTALLED in found]
    if not left_out:
        return
    names = sorted({name for names in left_out for name in names})
    tests = "1 client test" if len(left_out) == 1 else f"{len(left_out)} client tests"
    verb, pronoun = ("is", "it") if len(names) == 1 else ("are", "them")
    names_them = f"{', '.join(names)} {verb} {NOT_INSTALLED} (make clients needs {pronoun})"
    terminalreporter.write_line(f"{tests} left out: {names_them}", yellow=True)


@pytest.fixture(autouse=True, scope="session")
def _no_heartbeat() -> None:
    """Renew no lease in this process: that thread's own connection sees nothing of a test's transaction."""
    leases.RENEW_SECONDS = 3600


def _remove_rows(_test: TransactionTestCase) -> None:
    """Remove what a test with real transactions left, as `flush` does, but not what each migration makes.

    Making these rows and the triggers again takes 0.1 seconds of CPU.
    """
    made = {"accounts_rightsepoch", "auth_permission", "django_content_type"}
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - made
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), sorted(tables)))
    permissions_version.renew()


TransactionTestCase._fixture_teardown = _remove_rows  # type: ignore[attr-defined]


@cache
def hashed(password: str) -> str:
    """Return the password's hash, computed once. The cost is 4, since a test logs in often."""
    return stored_form(bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode())


@pytest.fixture(scope="session")
def signing_keys() -> None:
    """Make the keys that sign tokens, once: a check of an RSA key takes a tenth of a second."""
    ring.ensure_keys()


@pytest.fixture(scope="session")
def kept_folders(tmp_path_factory: pytest.TempPathFactory) -> ObjectFolders:
    return ObjectFolders(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def object_folders(kept_folders: ObjectFolders) -> Iterator[ObjectFolders]:
    """Return what prepares a storage; its folders are kept for the next test."""
    yield kept_folders
    kept_folders.take_back()


@pytest.fixture
def cast(db: None, signing_keys: None, object_folders: ObjectFolders) -> None:
    """Put the accounts and rules of the cast into the database."""
    object_folders.prepare()
    Account.objects.bulk_create(Account(name=name, password=hashed(password)) for name, password in PASSWORDS.items())
    Rule.objects.bulk_create(
        [
            Rule(subject_kind="account", subject="alice", name="alice/*", actions="*"),
            Rule(subject_kind="account", subject="alice", name="public/*", actions="*"),
            Rule(subject_kind="account", subject="bob", name="alice/*", actions="pull"),
            Rule(subject_kind="anonymous", subject="", name="public/*", actions="pull"),
        ]
    )


@pytest.fixture
def alice(cast: None) -> Caller:
    """Speak as the owner of alice/*."""
    return Caller(Client(), "alice", PASSWORDS["alice"])


@pytest.fixture
def bob(cast: None) -> Caller:
    """Speak as somebody who may pull alice/*."""
    return Caller(Client(), "bob", PASSWORDS["bob"])


@pytest.fixture
def charlie(cast: None) -> Caller:
    """Speak as somebody with an account and no rights."""
    return Caller(Client(), "charlie", PASSWORDS["charlie"])


@pytest.fixture
def anonymous(cast: None) -> Caller:
    """Speak as nobody in particular."""
    return Caller(Client(), "", "")


@pytest.fixture
def push(alice: Caller) -> Callable[..., Image]:
    """Build and push a whole image as alice: `push("alice/app", "v1")`."""

    def push_as_alice(repository: str = "alice/app", tag: str = "v1", content: bytes = b"a layer") -> Image:
        return push_image(alice, repository, tag, content)

    return push_as_alice


@pytest.fixture
def limit(settings: Settings) -> Callable[..., None]:
    """Set keys of `server.limits`: `limit(uploads_per_account=2)`."""

    def set_limits(**limits: int) -> None:
        registry = settings.REGISTRY
        server = replace(registry.server, limits=replace(registry.server.limits, **limits))
        settings.REGISTRY = replace(registry, server=server)

    return set_limits


@pytest.fixture
def quota(alice: Caller) -> Quota:
    """Limit each namespace to 10 KiB, and fill that of alice to 90 %."""
    quota = Quota.objects.create(repositories="*", each="namespace", max_size=10 << 10)
    push_blob(alice, "alice/app", b"a" * (9 << 10))
    return quota
