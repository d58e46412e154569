"""What ends a backup or a restore."""


class BackupError(Exception):
    """The backup or restore can't be done; the text says what is wrong, where, and what to do."""


class NoRoomError(BackupError):
    """The disk of the registry has not the room that the registry keeps on it."""


class BusyFolderError(BackupError):
    """Another backup or restore is at work in the folder."""
