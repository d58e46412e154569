"""Files that processes lock: made in a folder that belongs to somebody else than the one who opens them.

A root command opens them in the data folder of a user with fewer rights, who may have put a symbolic link there. So no
link is followed, nothing is truncated, and only a file that was made here gets the owner of its folder.
"""

import os
from pathlib import Path

from core.private_files import give_to_owner

# A FIFO or a device in place of the file does not hold up who opens it.
_SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def open_lock_file(path: str | Path, access: int = os.O_RDWR) -> int:
    """Return a descriptor of the file at `path`, made when it is new; a link there is an error. Raises OSError.

    With `os.O_RDONLY` a file that is there opens on a full disk and a read-only file system too.
    """
    try:
        return os.open(path, access | _SAFELY)
    except FileNotFoundError:
        pass
    try:
        made = os.open(path, os.O_CREAT | os.O_EXCL | access | _SAFELY, 0o600)
    except FileExistsError:
        # Another process was faster; a link, which looked like no file before, is refused here.
        return os.open(path, access | _SAFELY)
    give_to_owner(Path(path).parent, made)
    return made
