"""Send one request: to a checked address, signed, without redirects, within TOTAL_SECONDS.

The signature is an HMAC-SHA256 over the timestamp, a dot and the body: a receiver that refuses old timestamps cannot be
sent a recorded request again.
"""

import hashlib
import hmac
import http.client
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from core.outgoing import addresses
from webhooks import envelope, sealing
from webhooks.kinds import Envelope
from webhooks.models import Delivery, Webhook
from webhooks.queue import Result

CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS = 5.0, 10.0, 15.0
RESPONSE_CHARACTERS = 2000
USER_AGENT = "registry-webhooks/1"
SIGNATURE = "X-Registry-Signature-256"
TIMESTAMP = "X-Registry-Timestamp"
EVENT_ID = "X-Registry-Event-Id"
ATTEMPT = "X-Registry-Attempt"


class TooSlowError(OSError):
    """The receiver took longer than TOTAL_SECONDS in all."""


def secrets_of(hook: Webhook, now: datetime) -> list[str]:
    """Return the secrets that sign: the current one, and for a while the one before. Raises UnreadableSecretError."""
    sealed = [bytes(hook.sealed_secret)]
    if hook.sealed_previous_secret and hook.previous_secret_until and hook.previous_secret_until > now:
        sealed.append(bytes(hook.sealed_previous_secret))
    return [sealing.unseal(one) for one in sealed]


def signature(secrets: Sequence[str], timestamp: str, body: bytes) -> str:
    """Return the value of the header: a signature by each secret."""
    message = timestamp.encode() + b"." + body
    return ", ".join(f"sha256={hmac.new(one.encode(), message, hashlib.sha256).hexdigest()}" for one in secrets)


def headers_of(hook: Webhook, delivery: Delivery) -> dict[str, str]:
    """Return the headers of a request that do not change from attempt to attempt."""
    content_type = envelope.CONTENT_TYPES[Envelope(hook.envelope)]
    return {"Content-Type": content_type, "User-Agent": USER_AGENT, EVENT_ID: delivery.event_id}


class Attempt:
    """A request on its way; its time begins with it."""

    def __init__(self, hook: Webhook, delivery: Delivery, now: datetime) -> None:
        self.hook, self.delivery = hook, delivery
        self._now = now
        self._socket: socket.socket | None = None
        self._ends_at = time.monotonic() + TOTAL_SECONDS
        self._is_aborted = False

    def run(self) -> Result:
        """Send the request and return what became of it."""
        try:
            return self._send()
        except addresses.RefusedAddressError as error:
            return self._failed(f"not sent: {error}")
        except sealing.UnreadableSecretError as error:
            return self._failed(f"not sent: {error}")
        except Exception as error:  # noqa: BLE001 - whatever a receiver makes of it is a failure of this attempt
            if self._is_aborted or isinstance(error, TimeoutError):
                return self._failed(f"no answer within {TOTAL_SECONDS if self._is_aborted else READ_SECONDS:.0f} s")
            return self._failed(f"{type(error).__name__}: {error}")

    def abort_if_late(self) -> None:
        """End the request if its time is over: a receiver that sends a byte now and then never meets a timeout."""
        if time.monotonic() >= self._ends_at and not self._is_aborted:
            self._is_aborted = True
            if self._socket is not None:
                with suppress(OSError):
                    # Not `SSLSocket.shutdown`, which takes the connection from the thread that reads it.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _send(self) -> Result:
        hook = self.hook
        target = addresses.check_url(hook.url, allow_http=hook.allow_http, allow_private=hook.allow_private)
        body = envelope.body_of(self.delivery, hook.envelope)
        timestamp = str(int(self._now.timestamp()))
        headers = {
            "Host": target.host_header,
            **headers_of(hook, self.delivery),
            ATTEMPT: str(self.delivery.attempts + 1),
            TIMESTAMP: timestamp,
            SIGNATURE: signature(secrets_of(hook, self._now), timestamp, body),
            "Connection": "close",
        }
        address = addresses.resolve(target, allow_private=hook.allow_private)
        connection = http.client.HTTPConnection(target.host, target.port)
        with self._connected(target, address) as connection.sock:
            connection.request("POST", target.path, body, headers)
            return self._result(connection.getresponse())

    def _connected(self, target: addresses.Target, address: str) -> socket.socket:
        plain = socket.create_connection((address, target.port), CONNECT_SECONDS)
        plain.settimeout(READ_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = plain
        if target.scheme == "https":
            context = ssl.create_default_context()
            # The handshake comes after `abort_if_late` knows the socket.
            self._socket = context.wrap_socket(plain, server_hostname=target.host, do_handshake_on_connect=False)
            self._socket.do_handshake()
        if self._is_aborted:
            self._socket.close()
            raise TooSlowError
        return self._socket

    def _result(self, response: http.client.HTTPResponse) -> Result:
        if self._is_aborted:
            # A head that was cut off looks complete.
            raise TooSlowError
        version = "1.0" if response.version == 10 else "1.1"
        head = f"HTTP/{version} {response.status} {response.reason}\n{_lines(response.headers)}\n"
        if 200 <= response.status < 300:
            return Result(self.delivery, True, f"{response.status}", _storable(head))
        start = b""
        with suppress(OSError, http.client.HTTPException):
            start = response.read1(RESPONSE_CHARACTERS)
        outcome = f"{response.status} {response.reason}"
        if 300 <= response.status < 400:
            outcome += ": redirects are not followed"
        return self._failed(outcome, f"{head}\n{start.decode(errors='replace')}")

    def _failed(self, outcome: str, response: str = "") -> Result:
        return Result(self.delivery, False, _storable(outcome), _storable(response))


def _lines(headers: http.client.HTTPMessage) -> str:
    return "\n".join(f"{name}: {value}" for name, value in headers.items())


def _storable(text: str) -> str:
    """Return what PostgreSQL stores: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:RESPONSE_CHARACTERS]
