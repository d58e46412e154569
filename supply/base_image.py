"""Pin the Dockerfile to the digest that the tag of its base image has now: `make base-image`, which needs skopeo.

The digest is that of the index, which has every platform. Arguments are passed on to `skopeo inspect`.
"""

import argparse
import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

DOCKERFILE = Path("Dockerfile")
BASE = re.compile(r"^ARG BASE=(?P<tag>[^@\s]+)(?:@(?P<digest>sha256:[0-9a-f]{64}))?$", re.MULTILINE)


def main(arguments: Sequence[str]) -> int:
    """Write the digest into the Dockerfile of this folder, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m supply.base_image", description=__doc__)
    _, passed_on = parser.parse_known_args(arguments)
    written = DOCKERFILE.read_text()
    base = BASE.search(written)
    if base is None:
        print(f"{DOCKERFILE}: no line ARG BASE=NAME:TAG", file=sys.stderr)
        return 1
    command = ["skopeo", "inspect", "--raw", *passed_on, f"docker://{base['tag']}"]
    asked = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # noqa: S603 - skopeo, and the name above
    if asked.returncode or not asked.stdout:
        print(f"{base['tag']}: no manifest of it; {DOCKERFILE} is unchanged", file=sys.stderr)
        return 1
    digest = f"sha256:{hashlib.sha256(asked.stdout).hexdigest()}"
    DOCKERFILE.write_text(BASE.sub(f"ARG BASE={base['tag']}@{digest}", written))
    print(f"{base['tag']}: {digest}, before {base['digest'] or 'not pinned'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
