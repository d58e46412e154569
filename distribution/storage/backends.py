"""The section `storage` of a configuration as an entry of STORAGES; it needs no Django settings."""

from typing import Any

from configuration.values import Storage

_CLASSES = {
    "filesystem": "distribution.storage.local.DurableFileSystemStorage",
    "s3": "distribution.storage.s3.RegistryS3Storage",
}


def backend_of(storage: Storage) -> dict[str, Any]:
    """Return the entry of STORAGES for this storage."""
    options: dict[str, Any] = {"location": str(storage.rootdirectory.absolute())}
    if storage.backend != "filesystem":
        options = {**storage.options, "redirect": storage.redirect, "public_endpoint": storage.public_endpoint}
    return {"BACKEND": _CLASSES[storage.backend], "OPTIONS": options}
