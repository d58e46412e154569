"""Read small text files whole, or refuse them with what to do about it."""

import os
import stat
from pathlib import Path

from configuration.element import Refused

FOLDER_IN_PLACE_OF_FILE = (
    "a file: docker compose makes a folder when the file that a volume names is missing. "
    "Stop the container, remove the folder (rmdir), put the file in its place, start again"
)


def read_text(path: Path, max_bytes: int) -> str:
    """Return the text of the regular file at `path`: UTF-8, no byte order mark, at most `max_bytes`.

    Raises Refused.
    """
    data = _read(path, max_bytes)
    if len(data) > max_bytes:
        raise Refused(f"at most {max_bytes} bytes", "a larger file")
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise Refused("UTF-8 without one", "a byte order mark")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused("UTF-8", f"the byte 0x{data[error.start]:02x} in line {line}") from None


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise Refused(FOLDER_IN_PLACE_OF_FILE, "a folder")
        if not stat.S_ISREG(mode):
            raise Refused("a regular file", "a pipe or a device")
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        found = (error.strerror or "an error").lower()
        raise Refused(f"a file that uid {os.geteuid()} can read", found) from None
