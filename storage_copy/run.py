"""Passes over the objects that rows name, until the copy is complete or a server is found running."""

from collections.abc import Callable

from core.db import transactions
from core.failpoints import failpoint
from core.sizes import size_text
from distribution.storage import copy_mark, disk_reserve, trash
from distribution.storage.blob_store import BlobStore, MissingObjectError, blob_store, check_storage
from distribution.storage.cloud import Piece
from storage_copy import source
from storage_copy.errors import CopyError
from storage_copy.progress import Progress
from storage_copy.source import FOLDERS, Item
from storage_copy.target import Target
from storage_copy.transfer import Outcome, Transfer

Watch = Callable[[], None]


def copy(target: Target, progress: Progress, find_server: Callable[[], str], watch: Watch, *, verifies: bool) -> str:
    """Copy what the target lacks, count it in `progress`, and return which server is running.

    `find_server` returns that, empty for none. Without one, and without `progress.faults`, the copy is complete. With
    `verifies`, objects that are in the target are read and compared too. `watch` is called often, and what it raises
    ends the copy; the next one continues. Raises CopyError, and what database and storages raise.
    """
    copy_mark.refuse_unfinished(blob_store())
    check_storage()
    target.open()
    failpoint("migratestorage.after_mark")
    watch = _keeping_free(target, watch)
    while True:
        state = copy_mark.state()
        running = find_server()
        _Pass(target.store, progress, watch, is_quiet=not running).run(verifies=verifies)
        running = running or find_server()
        if running or progress.faults:
            return running
        if not progress.copied:
            break
        # A server may have been started and stopped meanwhile: the last pass has nothing to copy.
        verifies = False
    failpoint("migratestorage.before_complete")
    copy_mark.complete(target.store, state)
    return ""


def _keeping_free(target: Target, watch: Watch) -> Watch:
    """Return a `watch` that ends a copy to the registry's own disk before it is full."""
    folder = target.store.folder()
    if folder is None or not disk_reserve.is_on_own_disk(folder):
        return watch

    def watch_all() -> None:
        watch()
        found = disk_reserve.space_of(folder)
        if found.is_low:
            raise CopyError(
                f"{folder}: on the disk of the registry, which has {size_text(found.free)} free, less than the "
                f"{size_text(found.low_mark)} that it keeps (storage.min_free); make room and run this again, or name "
                "a folder on another disk and remove this one"
            )

    return watch_all


class _Pass:
    """A pass over all folders.

    If it `is_quiet`, no server is running, and open uploads do not change: it copies them too.
    """

    def __init__(self, target: BlobStore, progress: Progress, watch: Watch, *, is_quiet: bool) -> None:
        self._target, self._progress, self._watch, self._is_quiet = target, progress, watch, is_quiet

    def run(self, *, verifies: bool) -> None:
        """Copy what is missing, and with `verifies` read what is there."""
        progress = self._progress
        progress.begin_pass(*source.totals())
        with Transfer(blob_store(), self._target, self._settle, progress.move, self._watch) as transfer:
            for folder in FOLDERS:
                self._copy_folder(folder, transfer, verifies=verifies)
            for upload in source.uploads() if self._is_quiet else ():
                self._copy_upload(upload, transfer, verifies=verifies)
            transfer.finish()

    def _copy_folder(self, name: str, transfer: Transfer, *, verifies: bool) -> None:
        self._watch()
        sizes = self._target.sizes(name)
        folder = source.folder(name)
        self._progress.corrupt += folder.corrupt
        for blob in folder.blobs:
            found = sizes.pop(blob.pieces[0].key.removeprefix(f"{name}/"), None)
            if found != blob.size:
                transfer.copy(blob, replaces=found is not None)
            elif verifies:
                transfer.verify(blob)
            else:
                self._progress.count_present(blob)
        if self._is_quiet and sizes and (keys := source.unnamed(name, set(sizes))):
            # Copied before their blobs were removed. The collector deletes them from the storage that is in use then.
            transactions.run(trash.put, keys)
            self._progress.orphans += len(keys)

    def _copy_upload(self, upload: Item, transfer: Transfer, *, verifies: bool) -> None:
        """Copy all pieces if one is missing: their hash is that of all together."""
        if not all(self._has(piece) for piece in upload.pieces):
            transfer.copy(upload, replaces=True)
        elif verifies:
            transfer.verify(upload)
        else:
            self._progress.count_present(upload)

    def _has(self, piece: Piece) -> bool:
        try:
            return self._target.size(piece.key) == piece.size
        except MissingObjectError:
            return False

    def _settle(self, outcome: Outcome) -> None:
        item, progress = outcome.item, self._progress
        if outcome.lost:
            progress.replaced.append(f"{item.name}: in the target, {outcome.lost}")
        if outcome.fault and item.is_current():
            progress.faults.append(f"{item.name}: {outcome.fault}")
        elif outcome.fault:
            progress.total -= len(item.pieces)
        elif outcome.is_copied:
            progress.count_copied(item)
        else:
            progress.count_present(item)
