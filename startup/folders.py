"""Create the folders that the server writes, and check that they are writable."""

import os
import tempfile

from configuration.values import Configuration
from core.private_files import make_private_folder
from core.start_error import StartError


def check(configuration: Configuration) -> None:
    """Create the data and the storage folder and write to each. Raises StartError."""
    folders = {configuration.server.data_directory: "server.data_directory"}
    if configuration.storage.backend == "filesystem":
        folders[configuration.storage.rootdirectory] = "storage.filesystem.rootdirectory"
    for folder, key_path in folders.items():
        try:
            make_private_folder(folder)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"0")
                file.flush()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StartError(
                f"{key_path}: {folder.absolute()} can't be written ({reason}); "
                f"make it a folder that user id {os.geteuid()} may write, or name another"
            ) from error
