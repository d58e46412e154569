"""The mark of a storage that `manage.py migratestorage` fills: two objects beside the folder of objects.

    copy.json           from before the first object on: whose copy it is
    copy-complete.json  the copy has every object that the rows name

A server refuses a storage with the first alone, and removes both when it starts on a complete copy: from then on the
storage is its own, and no further copy goes there.
"""

import io
import json
from contextlib import closing

from django.utils.crypto import salted_hmac

from core.db import clock
from core.db.setup import where
from core.start_error import StartError
from distribution.storage.blob_store import BlobStore, MissingObjectError

COPY = "copy.json"
COMPLETE = "copy-complete.json"
_MAX_BYTES = 64 * 1024


def registry_id() -> str:
    """Return what tells this registry from others: a keyed hash of its secret key."""
    return salted_hmac("distribution.storage.copy_mark", "registry", algorithm="sha256").hexdigest()


def read(store: BlobStore) -> dict[str, str] | None:
    """Return whose copy is in the storage, None when it is not one. Raises StartError for an unreadable mark."""
    try:
        with closing(store.open_at(COPY, 0, _MAX_BYTES)) as file:
            found = json.loads(file.read(_MAX_BYTES))
    except MissingObjectError:
        return None
    except ValueError as error:
        raise StartError(
            f"storage: its {COPY} is not JSON: remove it, and what `manage.py migratestorage` copied"
        ) from error
    return {str(key): str(value) for key, value in found.items()}


def make(store: BlobStore) -> None:
    """Mark the storage as a copy of this registry that is not complete."""
    content = {"registry": registry_id(), "database": where(), "begun_at": clock.now().isoformat()}
    store.write_whole(COPY, io.BytesIO(json.dumps(content, indent=1).encode()))


def is_complete(store: BlobStore) -> bool:
    """Tell whether the copy in the storage is marked as complete."""
    try:
        store.size(COMPLETE)
    except MissingObjectError:
        return False
    return True


def complete(store: BlobStore) -> None:
    """Mark the copy as complete."""
    store.write_whole(COMPLETE, io.BytesIO(b"{}"))


def reopen(store: BlobStore) -> None:
    """Mark the copy as not complete."""
    store.delete(COMPLETE)


def refuse_unfinished(store: BlobStore) -> None:
    """Raise StartError for a storage with an incomplete copy: each blob that it lacks would count as lost."""
    if read(store) is not None and not is_complete(store):
        raise StartError(
            "storage: an unfinished copy of another storage; run `manage.py migratestorage` again with the "
            "configuration that names that one"
        )


def remove(store: BlobStore) -> None:
    """Make a complete copy the registry's own storage."""
    store.delete(COPY)
    store.delete(COMPLETE)
