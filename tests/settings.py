"""The real settings, on a configuration and a folder of the tests' own.

REGISTRY_DATABASE_URL, when it is set, names the server on which the test database is made; REGISTRY_TEST_S3, the S3
server that has the objects.
"""

import atexit
import json
import os
import shutil
import tempfile
from pathlib import Path

from tests.storages import is_s3, section

_FOLDER = Path(tempfile.mkdtemp(prefix="registry-tests-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)

_CONFIGURATION = _FOLDER / "config.yaml"
# No reserve: how full the disk of this machine is must not matter. No bound on requests: the tests share an address.
_STORAGE = section(_FOLDER / "data") | ({} if is_s3() else {"min_free": "0"})
_SERVER = {"limits": {"logins_per_minute": 0, "api_requests_per_minute": 0}, "data_directory": str(_FOLDER / "data")}
# A test that needs events switches them on: their thread would write beside the transaction of the test.
_AUDIT = {"enabled": False}
_CONFIGURATION.write_text(json.dumps({"server": _SERVER, "storage": _STORAGE, "audit": _AUDIT}))
os.environ["CONFIG_PATH"] = str(_CONFIGURATION)

from registry_project.settings import *  # noqa: E402, F403
from registry_project.settings import DATABASES  # noqa: E402

_IS_SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")

if _IS_SQLITE:
    # A file, which threads share as they do in a server; no fsync, since no test cuts the power of this one.
    DATABASES["default"]["TEST"] = {"NAME": str(_FOLDER / "test.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
else:
    # The test runner drops the database, which an idle connection of a pool would keep it from.
    DATABASES["default"]["OPTIONS"].pop("pool")

# Each test client loads the middleware anew: it need not look for all static files each time.
WHITENOISE_AUTOREFRESH = True

LOGGING["root"] = {"handlers": [], "level": "INFO"}  # noqa: F405 - read by caplog
