"""A stand-in for the base image of the Dockerfile: Debian of the same release with its own Python, as a tar file."""

import subprocess
from pathlib import Path

from supply.base_image import BASE
from tests.clients.server import ROOT

# What the real one leaves out too.
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")
# A machine may reach the package index through a proxy with a certificate of its own.
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def tag() -> str:
    """Return the tag of the base image in the Dockerfile, without a digest."""
    found = BASE.search((ROOT / "Dockerfile").read_text())
    assert found
    return found["tag"]


def make(file: Path) -> None:
    """Write the tar file: a minute and a half over the network."""
    release = tag().rpartition("-")[2]
    half = file.with_suffix(".half.tar")
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--include=python3,python3-venv,ca-certificates",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
        '--customize-hook=ln -s python3 "$1/usr/bin/python"',
        f"--customize-hook=copy-in {CERTIFICATES} {Path(CERTIFICATES).parent}",
        release,
        str(half),
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    half.rename(file)
