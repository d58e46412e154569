"""Prepare the server in the master process, before it forks workers.

    gunicorn's settings → configuration → port → folders → Django, checks → keys → database: migrate, import → storage

If the server cannot start, it exits with status 1 and one line that says what, where and how to fix it.
"""

import os
import resource
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gunicorn.config import Config

from configuration import Configuration, ConfigurationError, in_force
from configuration.first_run import write_first
from core.failpoints import FailpointError
from core.private_files import KeyFileError
from core.start_error import StartError
from server import cpu_affinity, unsupported_settings
from server import listener as listening
from startup import folders

if TYPE_CHECKING:
    from distribution.storage.blob_store import BlobStore

FIRST_CONFIGURATION = Path("config.yaml")

_NO_OBJECTS = (
    "storage: {folder} has no folder `objects`, but the database names blobs: is the disk mounted? If they are lost "
    "for good, make that folder; each blob then answers 404 until a push heals it."
)
_NO_CLOUD_OBJECTS = (
    "storage: S3 has no object below {folder}, but the database names blobs: are bucket_name, location and "
    "endpoint_url of storage.s3 right? If the blobs are lost for good, put any object there; each blob then answers "
    "404 until a push heals it."
)

_NO_TRACES = (
    "server.traces_endpoint: the packages for traces are missing; run: "
    "{python} -m pip install --require-hashes --requirement requirements-traces.txt"
)
_NO_SUPERUSER = (
    "No active superuser: nobody can open all of /admin/. Make one with `manage.py createsuperuser`, or with "
    "`superuser: true` in the configuration. It opens the admin only; rules alone allow to push and pull."
)


_WELCOME = """\
==============================================================================
This is a new registry. It wrote {path} with one administrator:

    name:      {name}
    password:  {password}

The password is shown this once; the file holds only its hash. Next:

    docker login localhost:{port} --username {name}
    docker pull alpine
    docker tag alpine localhost:{port}/hello/alpine
    docker push localhost:{port}/hello/alpine

Repositories:       http://localhost:{port}/
Accounts and rules: http://localhost:{port}/admin/
=============================================================================="""


class Contents(NamedTuple):
    """The state of the database after the import.

    `migrated` lists the applied migrations; `imported` describes what the import changed, "" for nothing; `warnings`
    name rules without effect.
    """

    migrated: list[str]
    has_superuser: bool
    has_blobs: bool
    imported: str
    warnings: tuple[str, ...]


def configuration() -> Configuration:
    """Return the configuration, or the defaults without a file; exit if it is invalid."""
    try:
        return in_force()
    except ConfigurationError as error:
        sys.exit(str(error))


def prepare(cfg: Config) -> tuple[str, ...]:
    """Prepare to serve with gunicorn's `cfg`; exit with status 1 if that fails.

    Return the warnings about the configuration that were printed.
    """
    try:
        return _prepare(cfg)
    except (ConfigurationError, KeyFileError, StartError, FailpointError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _prepare(cfg: Config) -> tuple[str, ...]:
    unsupported_settings.check(cfg)
    listening.check_free(cfg.address, in_force())
    if in_force().path is None:
        made = write_first(FIRST_CONFIGURATION)
        in_force.cache_clear()
        if made is not None:
            port = in_force().server.port
            _say(_WELCOME.format(path=made.path, name=made.name, password=made.password, port=port))
    loaded = in_force()
    for warning in loaded.warnings:
        _say_error(f"warning: {warning}")
    cpu_affinity.check(loaded.server)
    if loaded.server.traces_endpoint is not None and find_spec("opentelemetry") is None:
        raise StartError(_NO_TRACES.format(python=sys.executable))
    folders.check(loaded)
    _set_up_django()
    _load_backends()
    from startup import old_database
    from tokens.keys.ring import ensure_keys, is_stored

    if not is_stored():
        ensure_keys()
    had_log = old_database.has_log()
    contents = _prepare_database()
    _prepare_storage(has_blobs=contents.has_blobs)
    if not had_log:
        _warn_of_old_database()
    _say_contents(contents)
    return *loaded.warnings, *contents.warnings


def raise_open_file_limit() -> None:
    """Raise the soft limit of open files to the hard one: a worker with many slow clients exceeds the usual 1024.

    Child processes inherit it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _set_up_django() -> None:
    import django
    from django.core.checks import run_checks
    from django.core.exceptions import ImproperlyConfigured

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "registry_project.settings")
    try:
        django.setup()
        messages = run_checks()
    except ImproperlyConfigured as error:
        raise StartError(str(error)) from error
    for message in messages:
        if not message.is_silenced():
            _say_error(" ".join(str(message).removeprefix("?: ").split()))
    if any(message.is_serious() and not message.is_silenced() for message in messages):
        raise StartError("The registry does not start with the errors above.")


def _load_backends() -> None:
    from accounts.providers import backends

    try:
        backends()
    except Exception as error:  # any class may be configured
        reason = " ".join(str(error).split()) or type(error).__name__
        where = in_force().path or "auth"
        raise StartError(f"{where}: auth.backends: {reason}; is its folder in PYTHONPATH?") from error


def _prepare_storage(*, has_blobs: bool) -> None:
    from core.db import setup
    from distribution import bucket_owner
    from distribution.storage.blob_store import blob_store

    try:
        store = blob_store()
        is_lost = has_blobs and not store.is_prepared()
        if not is_lost:
            # Servers that start at once take a copy over one after the other.
            with setup.prepared():
                _take_over(store)
    except StartError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        remedy = f"correct the section storage in {in_force().path}"
        if isinstance(error.__cause__ or error.__context__, ImportError):
            remedy = f"run: {sys.executable} -m pip install 'django-storages[{in_force().storage.backend}]'"
        raise StartError(f"storage: {reason}; {remedy}") from error
    if is_lost:
        if store.is_cloud:
            raise StartError(_NO_CLOUD_OBJECTS.format(folder=f"{bucket_owner.name()}/objects/"))
        raise StartError(_NO_OBJECTS.format(folder=in_force().storage.rootdirectory))


def _take_over(store: "BlobStore") -> None:
    """Try the storage, and make it the registry's own; another's is refused before anything is written there."""
    from distribution import bucket_owner
    from distribution.storage import copy_mark

    is_copy = copy_mark.refuse_unfinished(store)
    store.prepare()
    if store.is_cloud:
        _try_cloud(store)
    else:
        store.probe()
    if is_copy:
        bucket_owner.renew(store)
        copy_mark.remove(store)
    elif store.is_cloud:
        bucket_owner.check(store, bucket_owner.name())


def _try_cloud(store: "BlobStore") -> None:
    """Write, read back and delete an object: each permission that a push needs. A full cloud still serves pulls."""
    from distribution.storage.cloud import FULL, CloudError

    try:
        store.try_writing()
    except CloudError as error:
        if error.state != FULL:
            raise
        _say_error(f"warning: storage: {error}; pushes are refused")


def _prepare_database() -> Contents:
    from django.db import transaction

    from accounts.models import Account
    from core.db import ballast, setup
    from distribution import collection_fence
    from distribution.models import Blob
    from provisioning import importing
    from provisioning.idle_rules import idle_rules
    from tokens.keys import fingerprints, ring

    with setup.prepared():
        migrated = setup.migrate()
        changed_keys = [*fingerprints.check_secret()]
        # A refused start must not store its keys: the right ones would not be taken over any more.
        with transaction.atomic():
            if ring.is_stored():
                ring.ensure_keys()
            changed_keys += fingerprints.check_signing_key()
        outcome = importing.apply(in_force())
        has_superuser = Account.objects.filter(is_superuser=True, is_active=True).exists()
        has_blobs = Blob.objects.exists()
        collection_fence.prepare()
        ballast.make()
        warnings = (*changed_keys, *idle_rules(in_force()), *filter(None, [outcome.superseded]))
    imported = "" if outcome.is_applied_already else f"{in_force().path}: {outcome.summary()}"
    return Contents(migrated, has_superuser, has_blobs, imported, warnings)


def _warn_of_old_database() -> None:
    from core.db import setup
    from distribution.storage.blob_store import blob_store
    from startup import old_database

    storage = blob_store().folder()
    if storage is None:
        return
    with setup.prepared():
        warning = old_database.warning(storage)
    if warning:
        _say_error(warning)


def _say_contents(contents: Contents) -> None:
    if contents.migrated:
        _say(f"database: applied {', '.join(contents.migrated)}")
    if contents.imported:
        _say(contents.imported)
    for warning in contents.warnings:
        _say_error(f"warning: {warning}")
    if not contents.has_superuser:
        _say_error(_NO_SUPERUSER)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - for the operator


def _say_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - as above


def say_listening(listeners: Iterable[listening.Listener]) -> None:
    """Print the addresses that the server listens on."""
    own = listening.admin_listener(configuration().admin)
    public = ", ".join(str(listener) for listener in listeners if listener.getsockname() != own)
    public_url = configuration().server.public_url
    _say(f"registry listening on {public}" + (f", for {public_url}" if public_url else ""))
    admins = [f"{listener}/admin/" for listener in listeners if listener.getsockname() == own]
    if admins:
        _say(f"the admin alone is at {admins[0]}")
    elif own is not None:
        _say_error("warning: admin.addr is not listened on, so the admin is nowhere: start gunicorn without --bind")
