"""The 257 folders of objects, lent from test to test: making and removing them takes 50 ms of CPU."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from distribution.storage.blob_store import blob_store

FOLDERS = 256


class ObjectFolders:
    """Empty folders in `kept`, once a test has left some."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept / "objects"
        self._below = kept.parent
        self._lent: list[Path] = []

    def prepare(self) -> None:
        """Prepare the storage of a test, unless it is; with the folders of an earlier test if there are any."""
        store = blob_store()
        if store.is_prepared():
            return
        folder = store.folder()
        if folder is not None and folder.is_relative_to(self._below):
            with suppress(FileNotFoundError):
                self._kept.rename(folder / "objects")
            self._lent.append(folder / "objects")
        if not store.is_prepared():
            store.prepare()

    def take_back(self) -> None:
        """Empty and keep the folders of a test that left them as they were."""
        while self._lent:
            objects = self._lent.pop()
            if not self._kept.exists() and _is_emptied(objects):
                objects.rename(self._kept)


def _is_emptied(objects: Path) -> bool:
    """Remove all files, and return whether nothing else differs from what a storage makes."""
    try:
        # Lists: an iteration that ends early leaves a folder open.
        own, count = objects.lstat(), 0
        for folder in list(os.scandir(objects)):
            found = folder.stat(follow_symlinks=False)
            if (found.st_mode, found.st_uid) != (stat.S_IFDIR | 0o700, own.st_uid):
                return False
            for file in list(os.scandir(folder)):
                Path(file).unlink()
            count += 1
    except OSError:
        return False
    return (own.st_mode, own.st_uid, count) == (stat.S_IFDIR | 0o700, os.geteuid(), FOLDERS)
