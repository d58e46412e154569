"""What a client may send on one connection: requests, good ones and others, in pieces of any size.

Everything comes from one random generator, so a seed names a case.
"""

from collections.abc import Callable
from random import Random

SMUGGLED = b"GET /v2/fuzz/smuggled/tags/list HTTP/1.1\r\nHost: x\r\n\r\n"
_SESSION = "00000000-0000-4000-8000-000000000000"

_FIELDS = [
    b"Accept: */*",
    b"accept:*/*",
    b"X-Empty:",
    b"X-Spaces: \t a  b\t ",
    b"X-Text: \xe9\xff",
    b"Cookie: a=b; c=d",
    b"Cookie: e=f",
    b"User-Agent: fuzz/1.0",
    b"Authorization: Bearer a.b.c",
    b"X-Forwarded-For: 192.0.2.1",
    b"Connection: keep-alive",
    b"Range: bytes=0-1",
    b"Content-Type: application/octet-stream",
    b"X-Long: " + b"x" * 8000,
]
_RARE_FIELDS = [
    b"Connection: close",
    b"Connection: close, x",
    b"Expect: 100-continue",
    b"Upgrade: h2c",
    b"Expect: else",
]
_NASTY_FIELDS = [
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding:chunked",
    b"Transfer-Encoding : chunked",
    b" Transfer-Encoding: chunked",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity",
    b"Transfer_Encoding: chunked",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    b"X: y\r\n Transfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Content-Length: 10",
    b"Content-Length: +5",
    b"Content-Length: -5",
    b"Content-Length: 5, 5",
    b"Content-Length: 5 5",
    b"Content-Length: 0x5",
    b"Content-Length: 5_0",
    b"Content-Length: \xb2",
    b"Content-Length:",
    b"Content_Length: 5",
    b"Content-Length\t: 5",
    b"\0: x",
    b"Host: other",
    b"Host: a b",
    b"Host: a/b",
    b"no field",
    b": no name",
    b" folded",
    b"X: \0",
    b"X: \x7f",
    b"X: a\nb",
]
_NASTY_BYTES = [b"\r", b"\n", b"\r\n", b"\n\n", b"\r\r\n", b"\0", b" ", b"\t", b"\x0b", b"\x85", b";", b":", b",", b"0"]
_NASTY_BYTES += [b"f", b"-", b"+", b"\xa0", b"\xff", b"0\r\n\r\n", b"0\r\n", b"ffffffffffffffff\r\n", b"5\r\nhello\r\n"]


def case(random: Random, mark: str) -> list[bytes]:
    """Return what one client sends, in pieces; `mark` is in every name, so that an answer tells whose it is."""
    stream = b"".join(_request(random, f"{mark}-{number}") for number in range(random.randint(1, 4)))
    if random.random() < 0.7:
        for _ in range(random.choice([1, 1, 1, 2, 3])):
            stream = random.choice(_MUTATIONS)(random, stream)
    return split(random, stream)


def upload_case(random: Random, path: str, authorization: str) -> list[bytes]:
    """Return what a client sends that may append to the upload at `path`, in pieces."""
    stream = b"".join(_append(random, path, authorization) for _ in range(random.randint(1, 3)))
    if random.random() < 0.5:
        # Behind the first head, nearly always: before it is what anybody may send.
        start = len(authorization) if random.random() < 0.9 else 0
        stream = stream[:start] + random.choice(_MUTATIONS)(random, stream[start:])
    return split(random, stream)


def _append(random: Random, path: str, authorization: str) -> bytes:
    field, framed = framing(random, _payload(random))
    return append_head(path, authorization, field) + framed


def append_head(path: str, authorization: str, field: bytes) -> bytes:
    """Return the head of a request that appends to the upload at `path` a body that is framed as `field` says."""
    return f"PATCH {path} HTTP/1.1\r\n{authorization}\r\nHost: x\r\n".encode() + field + b"\r\n\r\n"


def framing(random: Random, body: bytes) -> tuple[bytes, bytes]:
    """Return the field that says how a body is framed, and the body in it."""
    if random.random() < 0.6:
        return b"Transfer-Encoding: chunked", _chunked(random, body)
    return b"Content-Length: %d" % len(body), body


def _request(random: Random, name: str) -> bytes:
    method, path, body = random.choice(
        [
            ("GET", f"/v2/fuzz/{name}/tags/list", b""),
            ("HEAD", f"/v2/fuzz/{name}/manifests/v1", b""),
            ("GET", "/health", b""),
            ("GET", "/v2/", b""),
            ("DELETE", f"/v2/fuzz/{name}/manifests/v1", b""),
            ("PATCH", f"/v2/fuzz/{name}/blobs/uploads/{_SESSION}", _payload(random)),
            ("PUT", f"/v2/fuzz/{name}/manifests/v1?tag=a", _payload(random)),
            ("POST", f"/v2/fuzz/{name}/blobs/uploads/", _payload(random)),
            ("POST", "/v2/token", f"grant_type={name}".encode()),
            ("POST", "/v2/token", f"grant_type={name}&x=".encode() + b"y" * random.randint(0, 3000)),
        ]
    )
    target = random.choice([path] * 18 + [f"http://x{path}", f"http://host{path}"])
    version = random.choice(["HTTP/1.1"] * 19 + ["HTTP/1.0"])
    fields = [b"Host: x", *random.choices(_FIELDS, k=random.randint(0, 4))]
    fields += random.choices(_RARE_FIELDS, k=random.random() < 0.1)
    framed = b""
    if body or random.random() < 0.1:
        if random.random() < 0.6:
            fields.append(random.choice([b"Transfer-Encoding: chunked", b"transfer-encoding:Chunked"]))
            framed = _chunked(random, body)
        else:
            fields.append(b"Content-Length: %d" % len(body))
            framed = body
    random.shuffle(fields)
    return b"\r\n".join([f"{method} {target} {version}".encode(), *fields, b"", framed])


def _payload(random: Random) -> bytes:
    return random.choice(
        [b"", b"hello", b"x" * random.randint(1, 20_000), SMUGGLED, b"0\r\n\r\n" + SMUGGLED, b"\r\n\r\n"]
    )


def _chunked(random: Random, body: bytes) -> bytes:
    encoded, start = b"", 0
    while start < len(body):
        piece = body[start : start + random.choice([1, 5, 16, 1000, 20_000])]
        encoded += _size_line(random, len(piece)) + piece + b"\r\n"
        start += len(piece)
    return (
        encoded + _size_line(random, 0) + random.choice([b""] * 8 + [b"Checksum: 1\r\n", b"A: b\r\nC: d\r\n"]) + b"\r\n"
    )


def _size_line(random: Random, size: int) -> bytes:
    digits = random.choice([f"{size:x}", f"{size:X}", f"{size:08x}"])
    extension = random.choice([""] * 8 + [";a", ";a=b", ';a="b;c"', ";a;b;c"])
    return f"{digits}{extension}\r\n".encode()


def split(random: Random, stream: bytes) -> list[bytes]:
    number = random.choice([0, 0, 1, 2, 5, 20])
    cuts = sorted(random.choices(range(len(stream) + 1), k=number))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    return [piece for piece in pieces if piece]


def _put_in(random: Random, stream: bytes) -> bytes:
    return _replaced(stream, _place(random, stream), 0, random.choice(_NASTY_BYTES))


def _leave_out(random: Random, stream: bytes) -> bytes:
    return _replaced(stream, _place(random, stream), random.choice([1, 1, 2, 5]), b"")


def _replace(random: Random, stream: bytes) -> bytes:
    return _replaced(stream, _place(random, stream), 1, random.choice([*_NASTY_BYTES, random.randbytes(1)]))


def _cut(random: Random, stream: bytes) -> bytes:
    return stream[: _place(random, stream)]


def _repeat(random: Random, stream: bytes) -> bytes:
    start = _place(random, stream)
    return _replaced(stream, start, 0, stream[start : start + random.choice([1, 10, 100])])


def _smuggle(random: Random, stream: bytes) -> bytes:
    return _replaced(stream, _place(random, stream), 0, random.choice([SMUGGLED, b"\r\n" + SMUGGLED]))


def _add_field(random: Random, stream: bytes) -> bytes:
    """Put a line behind the end of any line, most of which are fields."""
    return _replaced(stream, _line_end(random, stream), 0, random.choice(_NASTY_FIELDS) + b"\r\n")


def _remove_line(random: Random, stream: bytes) -> bytes:
    start = _line_end(random, stream)
    end = stream.find(b"\n", start) + 1
    return _replaced(stream, start, max(0, end - start), b"")


def _spoil_line_end(random: Random, stream: bytes) -> bytes:
    end = _line_end(random, stream)
    return _replaced(stream, max(0, end - 2), 2, random.choice([b"\n", b"\r", b"", b"\r\r\n", b" \r\n", b"\r\n\r\n"]))


def _empty_line(random: Random, stream: bytes) -> bytes:
    start = max(0, stream.find(b"HTTP/1.1 ", _place(random, stream)))
    return _replaced(stream, start, 0, random.choice([b"\r\n", b"\r\n\r\n", b"\n", b" "]))


_MUTATIONS: list[Callable[[Random, bytes], bytes]] = [
    _put_in,
    _leave_out,
    _replace,
    _cut,
    _repeat,
    _smuggle,
    _add_field,
    _add_field,
    _remove_line,
    _spoil_line_end,
    _empty_line,
]


def _place(random: Random, stream: bytes) -> int:
    return random.randint(0, len(stream))


def _line_end(random: Random, stream: bytes) -> int:
    """Return the place behind a line, more often one of a head than of a body."""
    return stream.find(b"\r\n", random.randint(0, min(len(stream), 2000))) + 2


def _replaced(stream: bytes, start: int, length: int, by: bytes) -> bytes:
    return stream[:start] + by + stream[start + length :]
