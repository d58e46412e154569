"""The storage to fill: the one that a configuration file names."""

import io
from contextlib import suppress
from pathlib import Path

from django.utils.module_loading import import_string

from configuration import load
from configuration.values import Storage
from core.db import transactions
from core.private_files import make_private_folder
from distribution import bucket_owner
from distribution.models import RegistryId
from distribution.storage import copy_mark
from distribution.storage.backends import backend_of
from distribution.storage.blob_store import BlobStore, MissingObjectError, blob_store, new_probe
from storage_copy.errors import CopyError
from storage_copy.source import FOLDERS


class Target:
    """The storage at `where`, which names it for the operator."""

    def __init__(self, path: Path) -> None:
        """Read the section `storage` of the configuration file at `path`. Raises ConfigurationError."""
        storage = load(path, required="storage").storage
        self.where = _where(storage)
        backend = backend_of(storage)
        self.store = BlobStore(import_string(backend["BACKEND"])(**backend["OPTIONS"]))

    def open(self) -> None:
        """Check that the storage works, and is empty or an earlier copy of this registry; mark it.

        Raises CopyError, StartError for the bucket of another registry, and what the storage raises.
        """
        folder = self.store.folder()
        if folder is not None:
            make_private_folder(folder)
        self._refuse_source()
        found = copy_mark.read(self.store)
        if found is None:
            if self._has_objects():
                raise CopyError(
                    f"{self.where}: has objects already, of this or another registry, and no mark of a copy; name an "
                    "empty folder, bucket or location"
                )
        elif found.get("registry") != copy_mark.registry_id():
            raise CopyError(
                f"{self.where}: the copy of another registry, whose database was {found.get('database')}, begun at "
                f"{found.get('begun_at')}; name another folder, bucket or location"
            )
        self.store.prepare()
        self.store.remove_partial()
        self.store.try_writing()
        if self.store.is_cloud:
            # A running server may write meanwhile.
            transactions.run(RegistryId.objects.get_or_create, pk=1)
            bucket_owner.check(self.store, self.where)
        copy_mark.reopen(self.store)
        if found is None:
            copy_mark.make(self.store)

    def _refuse_source(self) -> None:
        """Raise CopyError if what is written here shows up in the registry's own storage."""
        source, key = blob_store(), new_probe()
        self.store.write(key, io.BytesIO(b"probe"))
        try:
            with suppress(MissingObjectError):
                source.size(key)
                raise CopyError(f"{self.where}: this is the storage of the running configuration; name another one")
        finally:
            self.store.delete(key)

    def _has_objects(self) -> bool:
        if self.store.is_cloud:
            return self.store.is_prepared()
        return any(self.store.sizes(folder) for folder in FOLDERS)


def _where(storage: Storage) -> str:
    if storage.backend == "filesystem":
        return str(storage.rootdirectory)
    options = storage.options
    endpoint = f" at {options['endpoint_url']}" if "endpoint_url" in options else ""
    return f"S3 bucket {bucket_owner.name_by(options)}{endpoint}"
