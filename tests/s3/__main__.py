"""Run a command on a SeaweedFS of its own: `python -m tests.s3 pytest tests/distribution`.

It listens on loopback only and lives in a temporary folder. The command finds its endpoint in REGISTRY_TEST_S3, with a
bucket in it; tests/storages.py tells where each registry has its objects.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.postgresql import leave
from tests.s3.servers import SeaweedFS, running
from tests.storages import BUCKET, VARIABLE


def main() -> int:
    """Run the command of the command line and return its exit status."""
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
    with (
        tempfile.TemporaryDirectory(prefix="registry-s3-", ignore_cleanup_errors=True) as folder,
        running(SeaweedFS(Path(folder))) as server,
    ):
        server.make_bucket(BUCKET)
        environment = os.environ | {VARIABLE: server.endpoint}
        return subprocess.run(sys.argv[1:], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
