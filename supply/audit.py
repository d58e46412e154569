"""Ask a database of known vulnerabilities about every locked package: `python -m supply.audit`, or `make audit`.

Exits with 1 when a package has one. A database that does not answer, or does not know a package, is said loudly and
is no failure, unless REGISTRY_REQUIRE_AUDIT is set. Arguments are passed on to pip-audit.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[1] / "requirements-dev.txt"
# pip-audit reports a missing network by one line or by a traceback, depending on the database.
NO_ANSWER = re.compile(
    r"^.*(?:ConnectionError|ServiceError|requests\.exceptions\.\w+|Could not connect).*$", re.MULTILINE
)


def main(arguments: Sequence[str]) -> int:
    """Ask, print the result, and return the exit status."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", f"--requirement={LOCK}"]
    command += ["--format=json", "--progress-spinner=off", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip-audit, and options
    if done.stdout.strip():
        try:
            found = json.loads(done.stdout)
        except ValueError:  # what arguments as --help ask for
            print(done.stdout, end="")
            return done.returncode
        return report(found["dependencies"])
    no_answer = NO_ANSWER.findall(done.stderr)
    if not no_answer:
        print(done.stderr, file=sys.stderr)
        return 1
    return not_audited("all packages", no_answer[-1])


def report(packages: list[dict[str, Any]]) -> int:
    """Print what the database knows of these packages, as pip-audit writes it, and return the exit status."""
    found = list(vulnerabilities(packages))
    if found:
        print("\n".join(["known vulnerabilities:", *found]), file=sys.stderr)
    skipped = [package for package in packages if "skip_reason" in package]
    if len(skipped) < len(packages):
        print(
            f"{len(packages) - len(skipped)} of {len(packages)} locked packages audited, {len(found)} vulnerabilities"
        )
    status = 0
    if skipped:
        which = "all packages" if len(skipped) == len(packages) else ", ".join(package["name"] for package in skipped)
        status = not_audited(which, skipped[0]["skip_reason"])
    return 1 if found else status


def vulnerabilities(packages: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each known vulnerability."""
    for package in packages:
        for vulnerability in package.get("vulns", []):
            mended = ", ".join(vulnerability["fix_versions"]) or "no release yet"
            yield f"  {package['name']} {package['version']}: {vulnerability['id']}, mended in {mended}"


def not_audited(which: str, reason: str) -> int:
    """Say that nobody has looked, and return the exit status."""
    line = "=" * 78
    print(f"{line}\nNOT AUDITED for known vulnerabilities: {which}\n{reason}\n{line}", file=sys.stderr)
    return 1 if os.environ.get("REGISTRY_REQUIRE_AUDIT") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
