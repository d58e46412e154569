"""What has to hold of each parser, whatever bytes it is given.

Each function of `PARSERS` takes bytes and raises AssertionError when a claim fails; any other exception is a fault too.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Any, NoReturn

from gunicorn.http.errors import ParseException

from acl.coverage import matches_some_name, name_covers
from acl.glob import ACCOUNT, InvalidPatternError, compile_glob, escape
from acl.name_range import covers, ranges_of
from acl.names import InvalidNameError, parse_name
from configuration import models
from configuration.document import compose
from configuration.element import Reading
from configuration.errors import ConfigurationError
from core.api.errors import ErrorCode, RegistryError
from distribution.protocol.byte_ranges import parse_content_range, parse_range
from distribution.protocol.digest import parse_digest
from distribution.protocol.manifest_parser import Descriptor, parse_manifest
from distribution.protocol.spec import JSON_MAX_DEPTH, MANIFEST_TYPES, SIZE_MAX
from distribution.protocol.strict_json import parse_document
from tests.fuzz.generate import split
from tests.fuzz.oracle import requests_in
from tests.project.wire import gunicorns, ours, requests_read
from tokens.scope import format_access, parse_scopes

CHUNKED = b"PATCH /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CUT_BYTES = 2
"""How many bytes of an input say where the rest of it is cut."""
MOST_ANSWERED_BYTES = 4096
# Before an extension of a chunk it has to be taken (RFC 9112, 7.1.1), which h11 does not.
_BAD_SPACE = re.compile(rb"[ \t];")


def requests(data: bytes) -> None:
    """Expect that h11 reads each request that is read, as the same one, however the stream is cut."""
    random, stream = Random(data[:CUT_BYTES]), data[CUT_BYTES:]

    read = requests_read(split(random, stream))

    assert read == requests_read([stream])
    assert _is_read_alike(read, stream)


def chunks(data: bytes) -> None:
    """Expect the same body however it is cut, and one that gunicorn and h11 read alike if it is taken."""
    random, stream = Random(data[:CUT_BYTES]), CHUNKED + data[CUT_BYTES:]

    outcome = ours(split(random, stream), random.choice([1, 3, 64, 1000]))

    # Why a malformed request behind it is refused depends on what was there when it was looked at.
    whole = ours([stream], 1 << 16)
    assert (outcome.data, outcome.error) == (whole.data, whole.error)
    # gunicorn takes more: long numbers, long extensions, a request behind it without a host.
    expected = gunicorns([stream], 1000)
    assert outcome.error in (expected.error, ParseException)
    assert outcome.data == expected.data or (outcome.error and expected.data.startswith(outcome.data))
    assert outcome.error is not None or _is_read_alike([(b"PATCH", b"/upload", outcome.data)], stream)


def digest(data: bytes) -> None:
    """Expect that a digest is written as it was read."""
    text = _text(data)
    found = _refused(parse_digest, text, code=ErrorCode.DIGEST_INVALID)
    assert found is None or str(found) == text


def json_document(data: bytes) -> None:
    """Expect what the standard library reads, and a refusal exactly of what it refuses or the rules forbid."""
    read = _refused(parse_document, data, code=ErrorCode.MANIFEST_INVALID)
    assert read == _plain_document(data)


def manifest(data: bytes) -> None:
    """Expect that what a manifest names can be stored, and is the same when the manifest is written anew."""
    content_type = [None, "nonsense", *MANIFEST_TYPES][data[0] % (2 + len(MANIFEST_TYPES))] if data else None
    payload = data[1:]

    parsed = _refused(parse_manifest, payload, content_type, code=ErrorCode.MANIFEST_INVALID)

    if parsed is None:
        return
    assert parsed.media_type in MANIFEST_TYPES
    descriptors = [*parsed.blobs, *parsed.optional_blobs, *parsed.children, *filter(None, [parsed.subject])]
    assert all(map(_is_sound, descriptors))
    for text in (parsed.artifact_type or "", *parsed.annotations, *parsed.annotations.values()):
        assert "\0" not in text.encode().decode()
    assert parse_manifest(json.dumps(json.loads(payload)).encode(), content_type) == parsed


def scope(data: bytes) -> None:
    """Expect that an access is read as it was written, whatever spaces are around it."""
    accesses = _refused(parse_scopes, [_text(data)], code=ErrorCode.SCOPE_INVALID)
    assert accesses == _refused(parse_scopes, filter(None, _text(data).split(" ")), code=ErrorCode.SCOPE_INVALID)
    if accesses is not None:
        assert parse_scopes(map(format_access, accesses)) == accesses
        assert len({(access.type, access.name) for access in accesses}) == len(accesses)


def ranges(data: bytes) -> None:
    """Expect that a range lies within the size, and is read as it was written."""
    size, text = (data[0] if data else 0), _text(data[1:])
    found = _refused(parse_content_range, text, code=ErrorCode.RANGE_INVALID)
    if found is not None:
        assert 0 <= found[0] <= found[1]
        assert parse_content_range(f"{found[0]}-{found[1]}") == found
    found = _refused(parse_range, text, size, code=ErrorCode.RANGE_INVALID)
    if found is not None:
        assert 0 <= found[0] <= found[1] < size
        assert parse_range(f"bytes={found[0]}-{found[1]}", size) == found


def glob(data: bytes) -> None:
    """Expect matches as the standard library's, and that what is derived from a pattern leaves no name out."""
    wide, narrow, name, *_ = [*_text(data).split("\0"), "", "", ""]
    is_name = _is_name(name)
    matching = []
    for pattern in filter(_is_pattern, (wide, narrow)):
        is_matched = compile_glob(pattern)(name)
        assert is_matched == fnmatchcase(name, pattern)
        if is_matched and is_name:
            assert matches_some_name(pattern) or ACCOUNT in pattern
            assert covers(ranges_of([pattern]), name)
        matching.append(compile_glob(pattern, "somebody")(name))
    if is_name and len(matching) == 2 and name_covers(wide, narrow):
        assert matching[0] or not matching[1]
    if _is_pattern(escape(wide)):
        assert compile_glob(escape(wide))(name) == (wide == name)


def configuration(data: bytes) -> None:
    """Expect that a configuration is read, or that each of its problems is told."""
    reading = Reading(None, Path("/nonexistent"), {})
    try:
        # A file is UTF-8, or not even looked at.
        read = models.configuration(compose(reading, data.decode(errors="replace")))
    except ConfigurationError as error:
        problems = [*error.problems]
    else:
        problems = reading.problems
        assert problems or read is not None
    assert all(map(str, problems))


PARSERS: dict[str, Callable[[bytes], None]] = {
    claim.__name__: claim
    for claim in (requests, chunks, digest, json_document, manifest, scope, ranges, glob, configuration)
}


def _is_read_alike(read: Sequence[tuple[bytes, bytes, bytes]], stream: bytes) -> bool:
    seen = [(request.method, request.target, request.body) for request in requests_in(stream).seen[: len(read)]]
    return seen == read or (_BAD_SPACE.search(stream) is not None and seen == read[: len(seen)])


def _refused(parse: Callable[..., Any], *arguments: object, code: ErrorCode) -> Any:
    """Return what was parsed; None for what is refused, in an answer that is small and can be sent."""
    try:
        return parse(*arguments)
    except RegistryError as error:
        refusal = error
    assert refusal.code is code
    assert len(json.dumps(refusal.body()).encode()) < MOST_ANSWERED_BYTES
    return None


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _is_sound(descriptor: Descriptor) -> bool:
    return parse_digest(str(descriptor.digest)) == descriptor.digest and 0 <= descriptor.size <= SIZE_MAX


def _is_name(text: str) -> bool:
    try:
        return parse_name(text) == text
    except InvalidNameError:
        return False


def _is_pattern(text: str) -> bool:
    try:
        return compile_glob(text) is not None
    except InvalidPatternError:
        return False


def _plain_document(payload: bytes) -> dict[str, object] | None:
    """Return what the standard library reads, if the rules allow it; the inputs are too short for too many values."""
    try:
        read = json.loads(
            payload.decode(), object_pairs_hook=_each_key_once, parse_int=_number, parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) and _depth(read) <= JSON_MAX_DEPTH else None


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if any(count > 1 for count in Counter(key for key, _ in pairs).values()):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _number(text: str) -> int | float:
    return int(text) if len(text) <= 20 else float(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        return 0
    return 1 + max(map(_depth, inner), default=0)
