"""deploy/registry.service, without systemd."""

import re
import shlex

from configuration.locating import SYSTEM_WIDE
from registry_project import BASE_DIR
from tests import documents

UNIT = (BASE_DIR / "deploy" / "registry.service").read_text()


def value(key: str) -> str:
    """Return the one value of `key`."""
    (found,) = re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)
    text: str = found
    return text


def test_it_waits_longer_than_the_server_takes_to_stop() -> None:
    (graceful,) = re.findall(r"^graceful_timeout = (\d+)$", (BASE_DIR / "gunicorn.conf.py").read_text(), re.MULTILINE)

    assert int(value("TimeoutStopSec")) >= int(graceful) + 20


def test_it_runs_what_the_document_installs() -> None:
    installed = documents.text("docs/deployment.md")

    assert f"make -C {value('WorkingDirectory')} .venv/run" in installed
    assert value("ExecStart") == f"{value('WorkingDirectory')}/.venv/bin/gunicorn"
    assert (
        f"adduser --system --group --no-create-home --home /var/lib/{value('StateDirectory')} {value('User')}"
        in installed
    )
    assert f"CONFIG_PATH={SYSTEM_WIDE}" in shlex.split(value("Environment"))


def test_the_document_copies_it() -> None:
    assert "/srv/registry/deploy/registry.service /etc/systemd/system" in documents.text("docs/deployment.md")


def test_it_gives_no_right_that_the_server_does_not_use() -> None:
    switched_on = set(re.findall(r"^(\w+)=(?:yes|strict|invisible)$", UNIT, re.MULTILINE))

    assert value("CapabilityBoundingSet") == ""
    assert {"NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices"} <= switched_on
    assert {"RestrictNamespaces", "RestrictSUIDSGID", "ProtectKernelTunables", "ProtectProc"} <= switched_on
