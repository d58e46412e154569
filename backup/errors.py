"""Errors that end a backup or a restore."""


class BackupError(Exception):
    """The backup or restore is impossible; the text says what is wrong, where, and what to do."""


class NoRoomError(BackupError):
    """The disk of the registry has less space free than `storage.min_free`."""


class BusyFolderError(BackupError):
    """Another backup or restore is using the folder."""
