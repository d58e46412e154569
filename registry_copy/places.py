"""Where a tree is: FOLDER or s3://BUCKET/PREFIX, as an operator names it."""

from collections.abc import Callable
from pathlib import Path

from acl.glob import InvalidPatternError, check_glob, compile_glob
from distribution.storage.blob_store import BlobStore
from registry_copy.errors import CopyError
from registry_copy.source.files import Files
from registry_copy.source.folder import Folder


def matching(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a repository is wanted. Raises CopyError."""
    try:
        check_glob(pattern)
    except InvalidPatternError as error:
        raise CopyError(f"--repository: {error}") from error
    return compile_glob(pattern)


# The storage's root, the folder `docker` in it, and so on.
_BELOW = ("docker/registry/v2", "registry/v2", "v2", "")


def files_of(text: str, store: BlobStore, moved: Callable[[int], None], *, copies: bool) -> Files:
    """Return the files of the tree at `text`, to be taken into `store`. Raises CopyError."""
    root = Path(text).absolute()
    for below in _BELOW:
        folder = root / below
        if (folder / "repositories").is_dir():
            if not copies and store.folder() is None:
                raise CopyError("the registry's storage is no folder, so nothing can be linked: run this with --copy")
            return Folder(folder, store, moved, copies=copies)
    reason = "no registry's storage: it has no docker/registry/v2/repositories" if root.is_dir() else "no folder"
    raise CopyError(f"{text}: {reason}")
