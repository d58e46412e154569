"""Run a command on a SeaweedFS of its own: `python -m tests.s3 pytest tests/distribution`.

It listens on loopback only and lives in a temporary folder. The command finds its endpoint in REGISTRY_TEST_S3, with a
bucket in it; tests/storages.py tells where each registry has its objects.
"""

import signal
import subprocess
import sys

from tests.postgresql import leave
from tests.s3.servers import storage_of_this_process


def main() -> int:
    """Run the command of the command line and return its exit status."""
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
    with storage_of_this_process():
        return subprocess.run(sys.argv[1:], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
