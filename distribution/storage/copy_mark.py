"""The mark of a storage that `manage.py migratestorage` fills: two objects beside the folder of objects.

    copy.json           from before the first object on: whose copy it is
    copy-complete.json  the copy has every object that the rows named then

A server refuses a storage with the first alone, or with pushes after the second. It removes both when it starts on a
complete copy: from then on the storage is its own, and no further copy goes there.
"""

import io
import json
from contextlib import closing

from django.db.models import Max, Q, Sum
from django.utils.crypto import salted_hmac

from core.db import clock
from core.db.setup import where
from core.start_error import StartError
from distribution.models import Blob, Segment, Upload
from distribution.storage.blob_store import BlobStore, MissingObjectError

COPY = "copy.json"
COMPLETE = "copy-complete.json"
_MAX_BYTES = 64 * 1024


def registry_id() -> str:
    """Return what tells this registry from others: a keyed hash of its secret key."""
    return salted_hmac("distribution.storage.copy_mark", "registry", algorithm="sha256").hexdigest()


def state() -> str:
    """Return aggregates of the rows, which every push of new bytes changes."""
    blobs = Blob.objects.aggregate(newest=Max("pk"), corrupt=Sum("pk", filter=Q(is_corrupt=True)))
    chunks = Segment.objects.aggregate(newest=Max("pk"), size=Sum("size"))
    uploads = Upload.objects.aggregate(active_at=Max("active_at"))
    return " ".join(map(str, (*blobs.values(), *chunks.values(), *uploads.values())))


def read(store: BlobStore) -> dict[str, str] | None:
    """Return whose copy is in the storage, None when it is not one. Raises StartError for an unreadable mark."""
    return _read(store, COPY)


def _read(store: BlobStore, key: str) -> dict[str, str] | None:
    try:
        with closing(store.open_at(key, 0, _MAX_BYTES)) as file:
            found = json.loads(file.read(_MAX_BYTES))
    except MissingObjectError:
        return None
    except ValueError as error:
        raise StartError(
            f"storage: its {key} is not JSON: remove it, and what `manage.py migratestorage` copied"
        ) from error
    return {str(name): str(value) for name, value in found.items()}


def make(store: BlobStore) -> None:
    """Mark the storage as a copy of this registry that is not complete."""
    content = {"registry": registry_id(), "database": where(), "begun_at": clock.now().isoformat()}
    store.write_whole(COPY, io.BytesIO(json.dumps(content, indent=1).encode()))


def is_complete(store: BlobStore) -> bool:
    """Tell whether the copy in the storage is marked as complete, and no push came after it."""
    found = _read(store, COMPLETE)
    return found is not None and found.get("state") == state()


def complete(store: BlobStore, state_before: str) -> None:
    """Mark the copy as complete; `state_before` is that before its last pass."""
    store.write_whole(COMPLETE, io.BytesIO(json.dumps({"state": state_before}).encode()))


def reopen(store: BlobStore) -> None:
    """Mark the copy as not complete."""
    store.delete(COMPLETE)


def refuse_unfinished(store: BlobStore) -> bool:
    """Return whether the storage is a complete copy of this registry; False means that it is no copy.

    Raises StartError for any other copy: each blob that it lacks would count as lost.
    """
    found = read(store)
    if found is None:
        return False
    if found.get("registry") != registry_id():
        raise StartError(
            f"storage: the copy of another registry, whose database was {found.get('database')}; the database here is "
            f"{where()}. Is database.url right, and server.data_directory, which has the secret key? Otherwise name "
            "another storage"
        )
    if not is_complete(store):
        raise StartError(
            "storage: an unfinished copy of another storage, or pushes went on after it; run `manage.py "
            "migratestorage` again with the configuration that names that one"
        )
    return True


def remove(store: BlobStore) -> None:
    """Make a complete copy the registry's own storage."""
    store.delete(COPY)
    store.delete(COMPLETE)
