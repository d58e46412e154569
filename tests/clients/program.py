"""Client programs, run as a user runs them."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.clients.server import password_of


@dataclass(frozen=True, slots=True)
class Program:
    """A client program with the login of one user: `alice.run("copy", …)`.

    `host` is the registry; `words` are what every call begins with.
    """

    words: tuple[str, ...]
    host: str
    environment: dict[str, str] = field(default_factory=dict)

    def call(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the program and return what came of it."""
        return subprocess.run(
            [*self.words, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=os.environ | self.environment,
            timeout=120,
            check=False,
        )

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Return what the program printed; fail with its messages when it failed."""
        done = self.call(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{' '.join(done.args)}\n{done.stderr}"
        return done.stdout.strip()

    def refused(self, *arguments: str, stdin: str = "") -> str:
        """Return the error messages of a call that has to fail."""
        done = self.call(*arguments, stdin=stdin)
        assert done.returncode != 0, f"{' '.join(done.args)} succeeded\n{done.stdout}"
        return done.stderr.strip()

    def log_in(self, account: str) -> None:
        """Log in as `account`, unless that is anonymous."""
        if account != "anonymous":
            self.run("login", "--username", account, "--password-stdin", self.host, stdin=password_of(account))

    def docker(self, image: str) -> str:
        """Return the reference of `image` (`alice/app:v1`) in the registry, as skopeo writes it."""
        return f"docker://{self.host}/{image}"


def skopeo_in(folder: Path, host: str) -> Program:
    """Return a skopeo that keeps its login in `folder` and speaks plain HTTP to `host`."""
    words = ("skopeo", "--insecure-policy", "--registries-conf", str(registries_file(folder, host)))
    return Program(words, host, {"REGISTRY_AUTH_FILE": str(login_file(folder))})


def podman_in(folder: Path, host: str, storage: Path) -> Program:
    """Return a podman that keeps its login in `folder` and its images in `storage`."""
    folders = ("--root", str(storage / "root"), "--runroot", str(storage / "run"))
    words = ("podman", *folders, "--storage-driver=vfs", "--cgroup-manager=cgroupfs")
    settings = {
        "CONTAINERS_REGISTRIES_CONF": str(registries_file(folder, host)),
        "REGISTRY_AUTH_FILE": str(login_file(folder)),
    }
    return Program(words, host, settings)


def registries_file(folder: Path, host: str) -> Path:
    """Return a new file which says that `host` speaks plain HTTP."""
    file = folder / "registries.conf"
    file.write_text(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')
    return file


def login_file(folder: Path) -> Path:
    """Return a new file without logins: the clients want it to exist."""
    file = folder / "auth.json"
    file.write_text("{}")
    return file
