"""`checkregistry` through nginx: the documented configuration is free of faults, each broken one is named."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from getpass import getuser
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.clients.nginx import Proxied, configuration, proxied_server, running_nginx
from tests.clients.server import ROOT, password_of
from tests.ports import free_port
from tests.project.talk import until

pytestmark = pytest.mark.client("nginx", "openssl")


class Plain(Proxied):
    """A server that believes its proxy, and knows no public URL of its own."""

    def configuration(self) -> dict[str, object]:
        """Return the configuration without `server.public_url`."""
        return super().configuration() | {"server": {"addr": self.host, "trusted_proxies": ["127.0.0.1"]}}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """Run a registry that expects nginx in front."""
    with proxied_server(tmp_path_factory.mktemp("registry"), Plain) as server:
        yield server


class Check:
    """The command, run in this process: `options` say which server, `output` has what it printed."""

    def __init__(self, server: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server = server
        self._monkeypatch = monkeypatch

    def arguments(self, *options: str, url: str = "") -> list[str]:
        """Return the arguments of a quick check as alice."""
        who = ["--account", "alice", "--repository", "alice/check", "--ca-file", str(self._server.certificate)]
        target = url or f"https://{self._server.public_host}"
        return ["checkregistry", "--url", target, *who, "--size", "2", "--pause", "0", *options]

    def __call__(self, *options: str, url: str = "", password: str = password_of("alice")) -> tuple[bool, str]:
        """Run the command; return whether it found no fault, and what it printed."""
        self._monkeypatch.setattr("sys.stdin", StringIO(f"{password}\n"))
        output = StringIO()
        try:
            call_command(*self.arguments(*options, url=url), stdout=output, no_color=True)
        except CommandError as error:
            return False, f"{output.getvalue()}{error}\n"
        return True, output.getvalue()


@pytest.fixture
def check(registry: Proxied, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return the command for the registry."""
    return Check(registry, monkeypatch)


def faults(output: str) -> list[str]:
    """Return which checks found a fault."""
    return [line.removeprefix("FAULT ").partition(":")[0] for line in output.splitlines() if line.startswith("FAULT ")]


def broken(server: Proxied, folder: Path, old: str, new: str) -> str:
    """Return the documented configuration with `old` replaced."""
    # As this user, who may write into the folder.
    text = f"user {getuser()};\n{configuration(server, folder, '', '')}"
    assert text.count(old) == 1, old
    return text.replace(old, new.format(dead=free_port(), port=server.proxy_port))


def test_the_documented_proxy_has_no_fault(registry: Proxied, check: Check, tmp_path: Path) -> None:
    with running_nginx(configuration(registry, tmp_path, "", ""), tmp_path):
        passed, output = check("--pause", "1")

    assert (passed, faults(output)) == (True, []), output
    assert output.endswith("Clients can push and pull.\n")
    assert "through a proxy, by https" in output
    assert "a layer of 2,097,152 bytes comes back unchanged" in output
    assert "the image is deleted" in output


@pytest.mark.parametrize(
    ("old", "new", "check_name", "remedy"),
    [
        ("X-Forwarded-Proto $scheme", "X-Forwarded-Proto http", "realm", "X-Forwarded-Proto"),
        ("X-Forwarded-Host  $http_host", "X-Forwarded-Host $host", "realm", "lost the port"),
        ("X-Forwarded-Host  $http_host", "X-Forwarded-Host inside.example.com", "realm", "server.public_url"),
        ("proxy_buffering off;", "proxy_set_header Authorization '';", "Authorization", "pass on Authorization"),
        ("client_max_body_size 0;", "", "body limit", "client_max_body_size 0"),
        ("proxy_request_buffering off;", "", "buffering", "proxy_request_buffering off"),
        ("proxy_http_version 1.1;", "proxy_http_version 1.0;", "HTTP version", "proxy_http_version 1.1"),
        ("proxy_set_header X-Forwarded-For   $proxy_add_x_forwarded_for;", "", "client address", "trusted_proxies"),
        (
            "proxy_buffering off;",
            "proxy_redirect /v2/ http://localhost:{port}/v2/;",
            "Location",
            "proxy_redirect off",
        ),
        ("proxy_buffering off;", "proxy_hide_header WWW-Authenticate;", "challenge", "WWW-Authenticate"),
        ("proxy_buffering off;", "proxy_hide_header Docker-Content-Digest;", "headers", "Docker-Content-Digest"),
        ("location / {", "location /v2/ {{ return 404; }} location / {{", "address", "every path unchanged"),
        ("location / {", "return 301 https://other.example.com; location / {{", "address", "give the URL"),
        ("proxy_buffering off;", "proxy_hide_header Docker-Distribution-API-Version;", "headers", "proxy_hide_header"),
        ("proxy_buffering off;", "proxy_hide_header Location;", "Location", "switch off"),
        ("location / {", "location = /v2/token {{ return 200 '<html>'; }} location / {{", "login", "no login page"),
        ("location / {", "location = /v2/token {{ return 200 '[]'; }} location / {{", "login", "no login page"),
        (
            "location / {",
            'location = /v2/token {{ return 200 \'{{"token": "a\\nb"}}\'; }} location / {{',
            "login",
            "no login page",
        ),
        (
            "location / {",
            "location = /api/v1/connection {{ return 200 '{{}}'; }} location / {{",
            "connection",
            "by something else than the registry",
        ),
        ("location / {", "location ~ /blobs/uploads/$ {{ return 444; }} location / {{", "buffering", "cut off"),
    ],
)
def test_each_broken_proxy_is_named(  # noqa: PLR0917 - the fixtures, then one case
    registry: Proxied, check: Check, tmp_path: Path, old: str, new: str, check_name: str, remedy: str
) -> None:
    with running_nginx(broken(registry, tmp_path, old, new), tmp_path):
        passed, output = check()

    assert not passed
    assert check_name in faults(output), output
    assert remedy in output


def test_a_proxy_that_gives_up_during_a_pause_is_named(registry: Proxied, check: Check, tmp_path: Path) -> None:
    text = broken(registry, tmp_path, "client_max_body_size 0;", "client_max_body_size 0; client_body_timeout 1s;")
    with running_nginx(text, tmp_path):
        passed, output = check("--pause", "5")

    assert (passed, faults(output)) == (False, ["timeout"]), output
    assert "client_body_timeout" in output


def test_a_proxy_without_its_registry_is_named(registry: Proxied, check: Check, tmp_path: Path) -> None:
    with running_nginx(broken(registry, tmp_path, f"http://{registry.host}", "http://127.0.0.1:{dead}"), tmp_path):
        passed, output = check()

    assert (passed, faults(output)) == (False, ["address"])
    assert "the proxy answers 502 itself: it does not reach the registry" in output


def test_nobody_at_the_address_is_named(registry: Proxied, check: Check) -> None:
    port = free_port()
    passed, output = check(url=f"https://localhost:{port}")

    assert (passed, faults(output)) == (False, ["address"])
    assert f"localhost:{port} can't be reached: Connection refused" in output


def test_a_certificate_for_another_name_is_named(registry: Proxied, check: Check, tmp_path: Path) -> None:
    with running_nginx(configuration(registry, tmp_path, "", ""), tmp_path):
        passed, output = check(url=f"https://127.0.0.1:{registry.proxy_port}")

    assert (passed, faults(output)) == (False, ["certificate"])
    assert "let the certificate name this host" in output


def test_http_to_a_port_with_tls_is_named_and_tls_to_a_port_without(
    registry: Proxied, check: Check, tmp_path: Path
) -> None:
    with running_nginx(configuration(registry, tmp_path, "", ""), tmp_path):
        plain, tls = (
            check(url=f"http://{registry.public_host}"),
            check(url=f"https://{registry.host}"),
        )

    assert (plain[0], faults(plain[1])) == (False, ["TLS"])
    assert "give the URL with https://" in plain[1]
    assert (tls[0], faults(tls[1])) == (False, ["TLS"])
    assert "is a port without TLS" in tls[1]


@pytest.mark.client("faketime")
def test_a_clock_that_is_wrong_is_named(registry: Proxied, check: Check, tmp_path: Path) -> None:
    with running_nginx(configuration(registry, tmp_path, "", ""), tmp_path):
        ended = subprocess.run(
            ["faketime", "-f", "+10m", sys.executable, "manage.py", *check.arguments("--password-stdin")],
            input=f"{password_of('alice')}\n",
            cwd=ROOT,
            env=registry.environment(),
            text=True,
            capture_output=True,
            check=False,
            timeout=300,
        )

    assert (ended.returncode, faults(ended.stdout)) == (1, ["clock"]), ended.stderr
    assert "behind the clock here" in ended.stdout


def test_a_wrong_password_and_a_missing_right_are_named(registry: Proxied, check: Check, tmp_path: Path) -> None:
    with running_nginx(configuration(registry, tmp_path, "", ""), tmp_path):
        stranger = check(password="not the password")
        outside = check("--repository", "bob/check")

    assert (stranger[0], faults(stranger[1])) == (False, ["login"])
    assert (outside[0], faults(outside[1])) == (False, ["push"])
    assert "alice may not push to bob/check" in outside[1]


def test_a_token_without_the_time_of_its_issue_is_no_fault(registry: Proxied, check: Check, tmp_path: Path) -> None:
    token = 'location = /v2/token {{ return 200 \'{{"token": "short"}}\'; }} location / {{'
    with running_nginx(broken(registry, tmp_path, "location / {", token), tmp_path):
        passed, output = check()

    assert (passed, faults(output)) == (False, ["push"]), output
    assert "ok    clock: not compared" in output


def test_another_challenge_of_the_proxy_and_a_name_in_capitals_are_no_fault(
    registry: Proxied, check: Check, tmp_path: Path
) -> None:
    more = "proxy_buffering off; add_header WWW-Authenticate 'Basic realm=\"proxy\"' always;"
    with running_nginx(broken(registry, tmp_path, "proxy_buffering off;", more), tmp_path):
        passed, output = check(url=f"HTTPS://LOCALHOST:{registry.proxy_port}/")

    assert (passed, faults(output)) == (True, []), output


def test_layers_from_a_storage_are_told(registry: Proxied, check: Check, tmp_path: Path) -> None:
    storage = "location ~ /blobs/sha256: {{ return 307 https://storage.example.com/layer; }} location / {{"
    with running_nginx(broken(registry, tmp_path, "location / {", storage), tmp_path):
        passed, output = check()

    assert (passed, faults(output)) == (True, []), output
    assert "layers come from storage.example.com, the storage; that way was not checked" in output


def test_a_connection_that_breaks_at_the_end_leaves_the_image(registry: Proxied, check: Check, tmp_path: Path) -> None:
    silent = "proxy_buffering off; if ($request_method = DELETE) {{ return 444; }}"
    with running_nginx(broken(registry, tmp_path, "proxy_buffering off;", silent), tmp_path):
        passed, output = check()

    assert (passed, faults(output)) == (True, []), output
    assert "alice/check:checkregistry stays: the connection broke" in output


def test_an_answer_does_not_control_the_terminal(registry: Proxied, check: Check, tmp_path: Path) -> None:
    coloured = "location = /v2/token {{ return 403 '\033]0;owned\007'; }} location / {{"
    with running_nginx(broken(registry, tmp_path, "location / {", coloured), tmp_path):
        passed, output = check()

    assert (passed, faults(output)) == (False, ["login"])
    assert r"is answered 403: \x1b]0;owned\x07" in output


def test_a_proxy_that_speaks_http_2_alone_is_named(registry: Proxied, check: Check) -> None:
    port, certificate = free_port(), registry.certificate
    command = ["openssl", "s_server", "-accept", str(port), "-alpn", "h2", "-quiet", "-www"]
    with subprocess.Popen([*command, "-cert", certificate, "-key", certificate.with_name("tls.key")]) as server:
        try:
            until(lambda: answers(port))
            passed, output = check(url=f"https://localhost:{port}")
        finally:
            server.kill()

    assert (passed, faults(output)) == (False, ["HTTP version"]), output


def test_an_answer_that_is_not_http_1_is_named(check: Check) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        threads.submit(answer_once, listener, b"\0\0\x12\4\0\0\0\0\0\n")
        passed, output = check(url=f"http://127.0.0.1:{listener.getsockname()[1]}")

    assert (passed, faults(output)) == (False, ["HTTP version"]), output
    assert "let the proxy speak HTTP/1.1" in output


def answer_once(listener: socket.socket, answer: bytes) -> None:
    """Answer one request, whatever it is."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


def answers(port: int) -> bool:
    """Tell whether the port accepts connections."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_an_address_of_ipv6_needs_no_port(check: Check) -> None:
    passed, output = check(url="http://[::1]")

    assert (passed, faults(output)) == (False, ["address"])
    assert "[::1]:80 can't be reached" in output


def test_a_name_that_dns_does_not_allow_has_no_address(check: Check) -> None:
    passed, output = check(url="https://registry..example.com")

    assert (passed, faults(output)) == (False, ["address"])
    assert "registry..example.com has no address" in output


@pytest.mark.parametrize("password", ["p\N{LATIN SMALL LETTER A WITH DIAERESIS}ss", "p\udce4ss"])
def test_a_password_outside_ascii_is_wrong_or_right_as_any_other(
    registry: Proxied, check: Check, tmp_path: Path, password: str
) -> None:
    with running_nginx(configuration(registry, tmp_path, "", ""), tmp_path):
        passed, output = check(password=password)

    assert (passed, faults(output)) == (False, ["login"])
    assert "is answered 401" in output


def test_a_password_in_another_encoding_is_refused(registry: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"p\xe4ss\n"), "utf-8"))

    with pytest.raises(CommandError, match="The password is not utf-8"):
        call_command("checkregistry", "--url", f"https://{registry.public_host}")


@pytest.mark.parametrize(
    "options",
    [
        ("--repository", "Alice/check"),
        ("--repository", "alice/ch\N{LATIN SMALL LETTER E WITH ACUTE}ck"),
        ("--pause", "-1"),
        ("--pause", "nan"),
        ("--size", "1"),
    ],
)
def test_an_option_that_can_not_be_used_is_refused(check: Check, options: tuple[str, str]) -> None:
    passed, output = check(*options)

    assert (passed, faults(output)) == (False, [])
    assert output.startswith(f"{options[0]}: ")


@pytest.mark.parametrize(
    "url",
    [
        *("registry.example.com", "ftp://registry.example.com", "https://a/b", "https://", "https://a:99999"),
        *("https://a:b", "https://[::1", "https://alice:secret@a", "https://a?b", "https://a#b"),
    ],
)
def test_what_is_no_url_is_refused(registry: Proxied, check: Check, url: str) -> None:
    passed, output = check(url=url)

    assert (passed, faults(output)) == (False, [])
    assert f"--url {url}: a URL is http:// or https://, a host, and a port if need be" in output
