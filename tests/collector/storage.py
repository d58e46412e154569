"""What lies in the storage, and what should."""

from distribution.models import Blob, Segment, Trash, Upload
from tests.storages import object_file


def objects() -> set[str]:
    """Return the keys of all stored objects."""
    root = object_file("")
    return {str(path.relative_to(root)) for path in root.glob("objects/*/*")}


def objects_named_by_rows() -> set[str]:
    """Return the keys that rows name."""
    tables = (Blob, Segment, Trash)
    keys = [key for table in tables for key in table._default_manager.values_list("key", flat=True)]
    return {key for key in [*keys, *Upload.objects.values_list("assembly_key", flat=True)] if key}
