"""The owner of a bucket: an object beside the others has the id of the registry, which its database has too.

A bucket without that object gets it at the next start: it is new, or of a version that knew none. A backup of the
database has the id, so a restored registry keeps its bucket.
"""

import io
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings

from core.db.setup import where
from core.failpoints import failpoint
from core.start_error import StartError
from distribution.models import RegistryId
from distribution.storage.blob_store import BlobStore, CloudError, KeyTakenError, MissingObjectError, blob_store
from distribution.storage.cloud import FULL

KEY = "registry-id"

_ANOTHER = (
    "storage: {bucket} belongs to another registry: its object {key} says {found}, the database {database} says {own}. "
    "Is database.url right, or with SQLite server.data_directory? In another folder a new database begins. Otherwise "
    "name another bucket_name or location. To give the objects to this registry, as after the restore of a backup that "
    "is older than the id, delete that object."
)


def name() -> str:
    """Return the registry's own bucket, with the location in it."""
    return name_by(settings.STORAGES["blobs"]["OPTIONS"])


def name_by(options: Mapping[str, Any]) -> str:
    """Return the bucket of these options of S3, with the location in it."""
    return "/".join(filter(None, (str(options["bucket_name"]), str(options.get("location", "")).strip("/"))))


def check(store: BlobStore, bucket: str) -> None:
    """Compare the owner of the bucket with the database, and name it in a bucket without one. Raises StartError.

    Call it with a database that is prepared. It raises CloudError too.
    """
    row, _ = RegistryId.objects.get_or_create(pk=1)
    own = str(row.value)
    found = _owner(store)
    if found is None:
        # Another server that starts meanwhile, or a full bucket, which serves pulls.
        with suppress(KeyTakenError):
            try:
                store.write(KEY, io.BytesIO(own.encode()))
            except CloudError as error:
                if error.state != FULL:
                    raise
                return
        found = _owner(store)
    if found != own:
        raise _another(bucket, found, own)


def refuse_other() -> None:
    """Raise StartError if the registry's own bucket has another owner: its objects are not this registry's to delete.

    It only reads; a bucket without an owner passes. It raises CloudError too.
    """
    store = blob_store()
    found = _owner(store) if store.is_cloud else None
    if found is None:
        return
    row = RegistryId.objects.first()
    if row is None or str(row.value) != found:
        raise _another(name(), found, "nothing" if row is None else str(row.value))


def renew(store: BlobStore) -> None:
    """Give the registry a new id, and its new storage too: a server with the old bucket is refused from now on.

    If it is killed in between, call it again, before `check`. It raises what `check` raises.
    """
    RegistryId.objects.update(value=uuid.uuid4())
    failpoint("start.after_new_id")
    if store.is_cloud:
        store.delete(KEY)
        check(store, name())


def _another(bucket: str, found: str | None, own: str) -> StartError:
    return StartError(_ANOTHER.format(bucket=bucket, key=KEY, found=found, database=where(), own=own))


def _owner(store: BlobStore) -> str | None:
    """Return the id in the bucket, as far as one may be read; None means none."""
    try:
        with store.open_at(KEY, 0, len(str(uuid.UUID(int=0)))) as file:
            return file.read().decode(errors="replace")
    except MissingObjectError:
        return None
