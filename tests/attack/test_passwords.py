"""Passwords and those who guess them. Nothing here measures time."""

import json
from base64 import b64encode
from urllib.parse import urlencode

import pytest

from tests.attack.admin_session import FORM, LOGIN, AdminSession
from tests.attack.conftest import Ask
from tests.attack.raw import Raw, ask
from tests.attack.target import Target
from tests.clients.server import basic, password_of

OTHERS = frozenset({"date", "x-request-id"})
TRIES = 10


def login(name: bytes, password: bytes) -> str:
    """Return a header line with any bytes for name and password."""
    return f"Authorization: Basic {b64encode(name + b':' + password).decode()}"


def seen(answer: Raw) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return all that a client sees of an answer, but for what is different each time."""
    return answer.status, [pair for pair in answer.headers if pair[0] not in OTHERS], answer.body


PASSWORDS = {
    "a NUL at the end": b"bob-password\0", "a NUL inside": b"bob-\0password", "a NUL": b"\0", "73 bytes": b"x" * 73,
    "a megabyte's worth of a header": b"x" * 5000, "a lone surrogate": b"bob-password\xed\xa0\x80", "no UTF-8": b"\xff",
    "empty": b"", "the hash itself": b"$2b$04$", "a space behind": b"bob-password ", "case": b"BOB-password",
    "a line feed": b"bob-password\n", "full width": "\uff42ob-password".encode(), "a colon before": b":bob-password",
}  # fmt: skip


@pytest.mark.parametrize("kind", PASSWORDS)
def test_no_odd_password_is_right_or_breaks_the_server(kind: str, target: Target, address: str, send: Ask) -> None:
    line = login(b"bob", PASSWORDS[kind])

    assert send("GET /v2/token", line).status == 401
    assert send("GET /api/v1/whoami", line).status == 401


NAMES = {
    "unknown": b"zoe", "a NUL": b"bob\0", "64 characters of nothing": b" " * 64, "case": b"BOB", "a space": b"bob ",
    "a pattern": b"*", "quotes": b"' OR '1'='1", "LDAP": b"*)(uid=*", "5,000 characters": b"b" * 5000,
    "no UTF-8": b"\xff\xfe", "a surrogate": b"\xed\xa0\x80", "full width": "\uff42ob".encode(), "an escape": b"\x1b[2J",
    "lines": b"bob\r\nalice",
}  # fmt: skip


@pytest.mark.parametrize("kind", NAMES)
def test_no_odd_name_is_told_from_a_wrong_password(kind: str, send: Ask) -> None:
    wrong = send("GET /v2/token", login(b"bob", b"wrong"))

    unknown = send("GET /v2/token", login(NAMES[kind], b"bob-password"))

    assert seen(unknown) == seen(wrong)
    assert wrong.status == 401


def test_an_account_that_is_not_active_is_a_wrong_password(target: Target, send: Ask) -> None:
    wrong = send("GET /v2/token", login(b"charlie", b"wrong"))
    target.execute("UPDATE accounts_account SET is_active = NOT is_active WHERE name = 'charlie'")
    try:
        assert seen(send("GET /v2/token", f"Authorization: {basic('charlie')}")) == seen(wrong)
    finally:
        target.execute("UPDATE accounts_account SET is_active = NOT is_active WHERE name = 'charlie'")


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic ", "Basic !", "Basic Ym9i", "Basic Ym9iOg", "Bearer x", "Digest username=bob", "Negotiate YII=",
     "Basic " + "A" * 7000, "basic Ym9i Ym9i", "Basic Ym9iOmJvYi1wYXNzd29yZA== x", "\x80"],
)  # fmt: skip
def test_a_broken_login_is_not_that_of_nobody(header: str, send: Ask) -> None:
    assert send("GET /v2/token", f"Authorization: {header}").status == 401


@pytest.mark.parametrize("way", ["token", "form", "api"])
def test_a_guesser_is_held_up_and_the_owner_is_not(way: str, target: Target, address: str, send: Ask) -> None:
    def guess(password: str) -> Raw:
        if way == "form":
            fields = {"grant_type": "password", "service": "Docker Registry", "client_id": "x", "username": "bob"}
            return send("POST /v2/token", FORM, body=urlencode(fields | {"password": password}).encode())
        path = "/v2/token" if way == "token" else "/api/v1/whoami"
        return send(f"GET {path}", login(b"bob", password.encode()))

    # Of this address alone: a wrong password that is tried again is no other guess.
    statuses = [guess(f"{address} {number}").status for number in range(TRIES + 2)]
    right = guess("bob-password")
    elsewhere = ask(target.port, f"GET /v2/token HTTP/1.1\r\nAuthorization: {basic('bob')}", address="127.0.250.250")

    assert statuses[0] in {400, 401}
    assert statuses[-1] == 429
    assert right.status in {200, 429}
    assert int(right.header("retry-after") or "1") > 0
    assert elsewhere.status == 200


def test_the_door_of_the_admin_holds_up_guessers_too(target: Target, address: str) -> None:
    browser = AdminSession(target.port, address)

    answers = [browser.log_in("admin", f"{address} {number}") for number in range(TRIES + 3)]
    right = browser.log_in("admin", password_of("admin"))

    assert answers[0].status == 200
    assert right.status == 429
    assert int(right.header("retry-after")) > 0
    assert b"<" not in right.body
    assert browser.get("/admin/").status == 302


def test_ways_in_share_one_count(target: Target, address: str, send: Ask) -> None:
    for number in range(TRIES):
        send("GET /api/v1/whoami", login(b"alice", f"{address} {number}".encode()))

    assert send("GET /v2/token", login(b"alice", b"another")).status == 429


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Client-IP", "True-Client-IP"])
def test_a_guesser_does_not_choose_the_address_that_is_counted(header: str, address: str, send: Ask) -> None:
    statuses = []
    for number in range(TRIES + 2):
        value = f"for=10.0.0.{number}" if header == "Forwarded" else f"10.0.0.{number}"
        statuses.append(
            send("GET /v2/token", login(b"charlie", f"{address} {number}".encode()), f"{header}: {value}").status
        )

    assert statuses[-1] == 429


def test_a_login_without_a_token_against_csrf_is_refused(target: Target, address: str) -> None:
    browser = AdminSession(target.port, address)
    fields = {"username": "admin", "password": password_of("admin")}

    assert browser.post(LOGIN, fields).status == 403
    assert browser.get("/admin/").status == 302


def test_no_answer_repeats_a_password(send: Ask) -> None:
    line = login(b"bob", b"a wrong password that is a secret")
    answers = [send("GET /v2/token", line), send("GET /api/v1/whoami", line), send("GET /v2/", line)]

    assert "secret" not in "".join(answer.body.decode() + str(answer.headers) for answer in answers)


def test_no_log_line_repeats_a_password_or_a_token(target: Target, send: Ask) -> None:
    send("GET /v2/token", login(b"bob", b"canary-password"))
    send("GET /v2/", "Authorization: Bearer canary-token")
    send("GET /v2/token?account=bob&password=canary-query", f"Authorization: {basic('bob')}")
    token = json.loads(target.request("GET", "/v2/token", authorization=basic("bob")).body)["token"]

    log = target.log_file.read_text()

    for secret in ("canary-password", "canary-token", password_of("bob"), token, token.rpartition(".")[2]):
        assert secret not in log
    assert b64encode(b"bob:canary-password").decode() not in log
