"""Where a tree is: FOLDER or s3://BUCKET/PREFIX, as an operator names it."""

from collections.abc import Callable
from pathlib import Path

from django.core.files.storage import storages

from acl.glob import InvalidPatternError, check_glob, compile_glob
from distribution.storage.blob_store import BlobStore
from distribution.storage.s3 import RegistryS3Storage
from registry_copy.errors import CopyError
from registry_copy.source.bucket import BucketFiles
from registry_copy.source.files import Files
from registry_copy.source.folder import Folder


def matching(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a repository is wanted. Raises CopyError."""
    try:
        check_glob(pattern)
    except InvalidPatternError as error:
        raise CopyError(f"--repository: {error}") from error
    return compile_glob(pattern)


_S3 = "s3://"
# The storage's root, the folder `docker` in it, and so on.
_BELOW = ("docker/registry/v2", "registry/v2", "v2", "")


def files_of(text: str, store: BlobStore, moved: Callable[[int], None], *, copies: bool) -> Files:
    """Return the files of the tree at `text`, to be taken into `store`. Raises CopyError."""
    if text.startswith(_S3):
        return _in_bucket(text.removeprefix(_S3), moved)
    root = Path(text).absolute()
    for below in _BELOW:
        folder = root / below
        if (folder / "repositories").is_dir():
            if not copies and store.folder() is None:
                raise CopyError("the registry's storage is no folder, so nothing can be linked: run this with --copy")
            return Folder(folder, store, moved, copies=copies)
    reason = "no registry's storage: it has no docker/registry/v2/repositories" if root.is_dir() else "no folder"
    raise CopyError(f"{text}: {reason}")


def _in_bucket(text: str, moved: Callable[[int], None]) -> Files:
    storage = storages["blobs"]
    if not isinstance(storage, RegistryS3Storage):
        raise CopyError(
            "S3 copies into a bucket at the same endpoint only, and the registry's storage is a folder: fetch the "
            "other registry's objects into a folder first, as by `aws s3 sync`, and import that"
        )
    bucket, _, prefix = text.partition("/")
    for below in _BELOW:
        files = BucketFiles(storage, bucket, "/".join(filter(None, (prefix.strip("/"), below))), moved)
        if next(files.folders("repositories"), None) is not None:
            return files
    raise CopyError(f"{_S3}{text}: no registry's storage: it has no docker/registry/v2/repositories")
