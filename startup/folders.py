"""Create the folders that the server writes, and check that they are writable."""

import os
import tempfile
from pathlib import Path

from configuration.values import Configuration
from core.private_files import make_private_folder
from core.start_error import StartError


def check(configuration: Configuration) -> None:
    """Create the data folder if it is needed, and the storage folder; write to each. Raises StartError."""
    temporary = os.environ.get("TMPDIR")
    if temporary and not Path(temporary).is_dir():
        # Otherwise Python would take another folder, without a word.
        raise StartError(f"TMPDIR: {temporary} is no folder; make it, or change the environment variable")
    folders = {configuration.server.data_directory: "server.data_directory"} if _has_data(configuration) else {}
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


def _has_data(configuration: Configuration) -> bool:
    """Return whether the database, the secret key or the signing keys are in the data folder."""
    auth = configuration.auth
    has_keys = auth.signing_method != "hmac" and auth.keys == "folder" and auth.private_key is None
    return configuration.database.url is None or configuration.server.secret_key is None or has_keys
