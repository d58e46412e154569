"""Push and pull: body limits, buffering, timeouts, Location, and bodies that arrive unchanged."""

import time
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from diagnostics.connection import PIECE_BYTES, Answer, BrokenError, Client, place_of
from diagnostics.finding import Finding, UnusableError
from diagnostics.session import CHUNK_BYTES, EMPTY_CONFIG, Layer, Session, manifest_of
from distribution.protocol import spec
from distribution.protocol.digest import Digest, new_hash

TAG = "checkregistry"
EARLY_ANSWER_SECONDS = 10
_LIMIT = "let the proxy take bodies of any size (nginx: `client_max_body_size 0`)"
_BUFFERING = "let the proxy pass on bodies as they arrive (nginx: `proxy_request_buffering off`)"
_TIMEOUT = (
    "raise the timeouts of the proxy to minutes (nginx: client_body_timeout, proxy_send_timeout, proxy_read_timeout; "
    "Traefik: respondingTimeouts.readTimeout; HAProxy: timeout client, timeout server)"
)
_UNCHANGED = "switch off compression, caching and rewriting in front of /v2/"


def check_transfers(session: Session) -> Iterator[Finding]:
    """Push an image and pull it; delete its manifest at the end, as far as the account may."""
    yield _about_buffering(session)
    layer = Layer(session.layer_bytes)
    yield from _push_in_chunks(session, layer)
    _push_whole(session, EMPTY_CONFIG)
    yield from _push_with_pause(session)
    yield from _push_and_pull_manifest(session, layer)
    yield from _pull(session, layer)


def _about_buffering(session: Session) -> Finding:
    """Send the first part of a body without a token: the registry refuses it at once, if it sees the request."""
    client = Client(session.client.url.geturl(), session.tls, EARLY_ANSWER_SECONDS)
    target = f"/v2/{session.repository}/blobs/uploads/?digest={Digest.of(b'')}"
    try:
        answer = client.send("POST", target, body=[bytes(CHUNK_BYTES)], length=session.layer_bytes)
    except BrokenError as error:
        if error.seconds < EARLY_ANSWER_SECONDS:
            return Finding("buffering", f"a request whose body is still under way is cut off: {error}", _TIMEOUT)
        return Finding(
            "buffering",
            f"no answer within {EARLY_ANSWER_SECONDS} s to a request whose body is still under way: the proxy "
            "stores each layer on its own disk first",
            _BUFFERING,
        )
    if not answer.is_from_registry:
        return _refused(f"a request with a body of {session.layer_bytes:,} bytes", answer)
    return Finding("buffering", "requests reach the registry before their bodies are complete")


def _push_in_chunks(session: Session, layer: Layer) -> Iterator[Finding]:
    """Push the layer as docker does: one PATCH with chunked transfer coding, then an empty PUT."""
    what = f"a layer of {layer.size:,} bytes in chunks"
    location, about_location = _start(session)
    yield from about_location
    answer = _sent(session, "PATCH", location, layer.pieces(), what=what)
    if answer.status != 202:
        raise UnusableError(_refused(what, answer))
    answer = _sent(session, "PUT", _with_digest(_target(answer), layer), length=0, what=what)
    if answer.status != 201:
        raise UnusableError(_refused(what, answer))
    yield Finding("push", f"{what} arrives")


def _push_with_pause(session: Session) -> Iterator[Finding]:
    """Push two halves with a pause between them, as a slow line does."""
    if not session.pause_seconds:
        return
    layer = Layer(2 * PIECE_BYTES)
    pieces = next(layer.pieces())

    def halves() -> Iterator[bytes]:
        yield pieces[:PIECE_BYTES]
        time.sleep(session.pause_seconds)
        yield pieces[PIECE_BYTES:]

    location, _ = _start(session)
    target = _with_digest(location, layer)
    what = f"a push that pauses for {session.pause_seconds:g} s"
    try:
        answer = session.client.send("PUT", target, session.bearer, halves(), layer.size)
    except BrokenError as error:
        yield Finding("timeout", f"{what} is cut off: {error}", _TIMEOUT)
        return
    if answer.status == 201:
        yield Finding("timeout", f"{what} is not cut off")
    else:
        yield Finding("timeout", f"{what} is answered {answer.status}", _TIMEOUT)


def _push_whole(session: Session, content: bytes) -> None:
    target = f"/v2/{session.repository}/blobs/uploads/?digest={Digest.of(content)}"
    answer = _sent(session, "POST", target, [content], len(content), what="a small blob")
    if answer.status != 201:
        raise UnusableError(_refused("a small blob", answer))


def _push_and_pull_manifest(session: Session, layer: Layer) -> Iterator[Finding]:
    payload = manifest_of(layer)
    digest = str(Digest.of(payload))
    target = f"/v2/{session.repository}/manifests/{TAG}"
    headers = session.bearer | {"Content-Type": spec.OCI_MANIFEST}
    answer = session.client.send("PUT", target, headers, [payload], len(payload))
    if answer.status != 201:
        raise UnusableError(_refused("a manifest", answer))
    session.pushed.append(digest)
    answer = session.client.send("GET", target, session.bearer | {"Accept": spec.OCI_MANIFEST})
    if answer.status == 200 and answer.body == payload:
        is_named = answer.headers.get(spec.CONTENT_DIGEST_HEADER.lower()) == digest
        lost = Finding("headers", "the answer has lost Docker-Content-Digest", _UNCHANGED)
        yield Finding("pull", "the manifest comes back unchanged") if is_named else lost
        return
    yield Finding("pull", f"the manifest comes back changed, or not at all ({answer.status})", _UNCHANGED)


def _pull(session: Session, layer: Layer) -> Iterator[Finding]:
    """Pull the layer, whole and by a range."""
    target = f"/v2/{session.repository}/blobs/{layer.digest}"
    running = new_hash()
    try:
        with session.client.exchange("GET", target, session.bearer) as (answer, stream):
            if answer.status in (302, 303, 307, 308):
                # Not followed: to whom the token would be sent is the proxy's choice.
                storage = place_of(answer.headers.get("location", ""))
                if storage is None or not storage[0]:
                    yield Finding("pull", "a layer is redirected, and the answer has lost Location", _UNCHANGED)
                else:
                    yield Finding("pull", f"layers come from {storage[0]}, the storage; that way was not checked")
                return
            while piece := stream.read(CHUNK_BYTES):
                running.update(piece)
    except BrokenError as error:
        yield Finding("pull", f"a layer is cut off: {error}", _TIMEOUT)
        return
    if running.hexdigest() != layer.digest.encoded:
        yield Finding("pull", f"a layer comes back changed, or not at all ({answer.status})", _UNCHANGED)
        return
    ranged = session.client.send("GET", target, session.bearer | {"Range": "bytes=1-4"})
    if ranged.status != 206 or len(ranged.body) != 4:
        yield Finding("pull", f"a range of a layer is answered {ranged.status} instead of 206", _UNCHANGED)
        return
    yield Finding("pull", f"a layer of {layer.size:,} bytes comes back unchanged, whole and by a range")


def delete_pushed(session: Session) -> Iterator[Finding]:
    """Delete the manifests that were pushed; the collector removes their layers later."""
    for digest in session.pushed:
        try:
            answer = session.client.send("DELETE", f"/v2/{session.repository}/manifests/{digest}", session.bearer)
        except (OSError, BrokenError) as error:
            yield Finding("cleanup", f"{session.repository}:{TAG} stays: the connection broke ({error})")
            continue
        if answer.status == 202:
            yield Finding("cleanup", "the image is deleted; the next collections free its bytes")
        else:
            yield Finding("cleanup", f"{session.account} may not delete: {session.repository}:{TAG} stays")


def _start(session: Session) -> tuple[str, list[Finding]]:
    """Open an upload; return the request target of its Location, and findings about that header."""
    target = f"/v2/{session.repository}/blobs/uploads/"
    answer = session.client.send("POST", target, session.bearer, (), 0)
    if answer.status in (401, 403) and answer.is_from_registry:
        raise UnusableError(
            Finding(
                "push",
                f"{session.account} may not push to {session.repository}",
                "give --repository one that the account may push to, or add a rule",
            )
        )
    if answer.status != 202:
        raise UnusableError(_refused("the start of an upload", answer))
    target = _target(answer)
    location, url = urlsplit(answer.headers["location"]), session.client.url
    faults = []
    if location.netloc and (location.scheme, place_of(location.geturl())) != (url.scheme, place_of(url.geturl())):
        faults.append(
            Finding(
                "Location",
                f"uploads are sent on to {location.scheme}://{location.netloc} instead of {url.geturl()}",
                "let the proxy leave Location alone (nginx: `proxy_redirect off`): the registry's is relative",
            )
        )
    return target, faults


def _target(answer: Answer) -> str:
    """Return the request target of a Location. Raises UnusableError if there is none."""
    location = answer.headers.get("location", "")
    if not location or place_of(location) is None:
        has = f"the Location {location}, which is no URL" if location else "lost Location"
        raise UnusableError(Finding("Location", f"the answer to an upload has {has}", _UNCHANGED))
    parts = urlsplit(location)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _with_digest(target: str, layer: Layer) -> str:
    return f"{target}{'&' if '?' in target else '?'}digest={layer.digest}"


def _sent(
    session: Session, method: str, target: str, body: Iterable[bytes] = (), length: int | None = None, *, what: str
) -> Answer:
    """Send a part of a push. Raises UnusableError when the connection breaks."""
    try:
        return session.client.send(method, target, session.bearer, body, length)
    except BrokenError as error:
        raise UnusableError(Finding("push", f"{what} is cut off: {error}", _TIMEOUT)) from error


def _refused(what: str, answer: Answer) -> Finding:
    if answer.status == 413:
        return Finding("body limit", f"{what} is refused (413)", _LIMIT)
    if answer.status == 411:
        return Finding("chunked", f"{what} is refused: the proxy demands a Content-Length (411)", _BUFFERING)
    if answer.status in (408, 502, 504):
        return Finding("timeout", f"{what} is answered {answer.status}", _TIMEOUT)
    source = "the registry" if answer.is_from_registry else "the proxy"
    text = answer.body[:200].decode(errors="replace")
    return Finding("push", f"{what} is answered {answer.status} by {source}: {text}", "look into that program's log")
