"""Lock files, opened safely in a folder of another user.

A command of root opens them in the data folder of an unprivileged user, who may have put a symbolic link there. So no
link is followed, nothing is truncated, and only a file that was created here gets the owner of its folder.
"""

import os
from pathlib import Path

from core.private_files import give_to_owner

# Opening a FIFO or a device in place of the file must not block.
_SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def open_lock_file(path: str | Path, access: int = os.O_RDWR) -> int:
    """Return a descriptor of the file at `path`, created if missing; a link is an error. Raises OSError.

    With `os.O_RDONLY` an existing file opens on a full disk and a read-only file system too.
    """
    try:
        return os.open(path, access | _SAFELY)
    except FileNotFoundError:
        pass
    try:
        made = os.open(path, os.O_CREAT | os.O_EXCL | access | _SAFELY, 0o600)
    except FileExistsError:
        # Another process was faster; a dangling link, which looked like a missing file, is refused here.
        return os.open(path, access | _SAFELY)
    give_to_owner(Path(path).parent, made)
    return made
