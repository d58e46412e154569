"""`manage.py checkregistry`: sign in, push and pull through the public URL, and name what is wrong."""

import getpass
import ssl
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from acl.names import InvalidNameError, parse_name
from configuration.converters import PUBLIC_URL
from configuration.element import Reading, Refused
from diagnostics.checks.address import check_address
from diagnostics.checks.login import check_login
from diagnostics.checks.transfer import check_transfers, delete_pushed
from diagnostics.connection import BrokenError, Client
from diagnostics.finding import Finding, UnusableError
from diagnostics.session import Session

MIB = 1024 * 1024
TIMEOUT_SECONDS = 60
MOST_PAUSE_SECONDS = 3600


class Command(BaseCommand):
    """Check the way from a client to the registry."""

    help = (
        "Sign in, push and pull through the public URL; name faults of proxy, certificate, clock and limits. The image "
        "is small but for one layer. Runs on any machine that reaches the URL. Exit status 1: something is wrong."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments; `manage.py` has read --config already."""
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")
        parser.add_argument("--url", help="As https://registry.example.com; server.public_url unless given.")
        parser.add_argument("--account", default="admin", help="Who signs in; admin unless given.")
        parser.add_argument(
            "--password-stdin", action="store_true", help="Read the password from standard input, not the terminal."
        )
        parser.add_argument(
            "--repository", default="checkregistry", metavar="NAME", help="Where to push; checkregistry unless given."
        )
        parser.add_argument("--size", type=int, default=64, metavar="MIB", help="Size of the layer; 64 unless given.")
        parser.add_argument(
            "--pause", type=float, default=20, metavar="SECONDS", help="Pause within a push; 20 unless given, 0: none."
        )
        parser.add_argument("--ca-file", metavar="FILE", help="Certificates to trust besides those of the system.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the checks and print each finding."""
        session = _session(options)
        faults = 0
        for finding in _findings(session):
            mark = self.style.ERROR("FAULT") if finding.is_fault else self.style.SUCCESS("ok   ")
            self.stdout.write(f"{mark} {finding.check}: {_printable(finding.observation)}")
            if finding.is_fault:
                faults += 1
                self.stdout.write(f"      {_printable(finding.remedy)}")
        if faults:
            raise CommandError(f"{faults} of the checks found a fault.")
        self.stdout.write("Clients can push and pull.")


def _findings(session: Session) -> Iterator[Finding]:
    """Yield what the checks find, up to the first fault that leaves the rest without meaning."""
    try:
        yield from check_address(session)
        yield from check_login(session)
        yield from check_transfers(session)
    except UnusableError as error:
        yield error.finding
    except (OSError, BrokenError) as error:
        yield Finding("connection", f"the connection broke: {error}", "look into the logs of proxy and registry")
    if session.pushed:
        yield from delete_pushed(session)


def _session(options: dict[str, Any]) -> Session:
    url = options["url"] or settings.REGISTRY.server.public_url
    if not url:
        raise CommandError("Give --url, or set server.public_url.")
    try:
        # As an origin, to be compared with what proxy and registry make of it.
        origin = PUBLIC_URL.convert(url, Reading(None, Path(), {}))
        repository = parse_name(options["repository"])
    except Refused as error:
        raise CommandError(f"--url {url}: a URL is http:// or https://, a host, and a port if need be.") from error
    except InvalidNameError as error:
        raise CommandError(f"--repository: {error}") from error
    if options["size"] < 2:
        raise CommandError("--size: the layer has at least 2 MiB.")
    if not 0 <= options["pause"] <= MOST_PAUSE_SECONDS:
        raise CommandError(f"--pause: from 0 to {MOST_PAUSE_SECONDS} seconds.")
    try:
        tls = ssl.create_default_context()
        # As a proxy that offers HTTP/2 has to know.
        tls.set_alpn_protocols(["http/1.1"])
        if options["ca_file"]:
            tls.load_verify_locations(options["ca_file"])
    except OSError as error:
        raise CommandError(f"--ca-file {options['ca_file']}: {error.strerror or error}") from error
    return Session(
        client=Client(origin, tls, TIMEOUT_SECONDS + options["pause"]),
        tls=tls,
        account=options["account"],
        password=_password(options),
        repository=repository,
        layer_bytes=options["size"] * MIB,
        pause_seconds=options["pause"],
    )


def _password(options: dict[str, Any]) -> str:
    try:
        if options["password_stdin"] or not sys.stdin.isatty():
            password = sys.stdin.readline().rstrip("\r\n")
        else:
            password = getpass.getpass(f"Password of {options['account']}: ")
    except UnicodeDecodeError as error:
        raise CommandError(f"The password is not {error.encoding}.") from error
    except EOFError:
        password = ""
    if not password:
        raise CommandError("The password is empty.")
    return password


def _printable(text: str) -> str:
    """Return `text` with control characters escaped: a proxy's answer must not control the terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
