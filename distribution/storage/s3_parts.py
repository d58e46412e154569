"""Parts of a multipart upload: those of a stream, and those that join objects.

S3 takes at most 10,000 parts, each but the last of at least 5 MiB.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from distribution.storage.cloud import Piece, Span

MAX_PARTS = 10_000
MIN_PART_BYTES = 5 * 1024 * 1024
PART_BYTES = 8 * 1024 * 1024
# A copy of this size inside S3 ends well before the client's timeout.
MAX_COPY_BYTES = 256 * 1024 * 1024


def part_size(sent: int) -> int:
    """Return the size of the part after `sent` bytes: 8 MiB, or a thousandth of what was sent.

    So parts are of one size up to 8 GiB, which some servers require, and 10,000 hold more than S3 takes.
    """
    return max(PART_BYTES, sent // 1000)


def joined_parts(pieces: Iterable[Piece], largest: int = MAX_COPY_BYTES) -> Iterator[list[Span]]:
    """Yield parts that join the pieces: one span is copied inside S3, several are read and sent as one part.

    Only pieces below 5 MiB are read, and of the piece after them as much as fills their part.
    """
    merged: list[Span] = []
    for piece in pieces:
        at, filled = 0, sum(span.size for span in merged)
        if merged:
            at = min(piece.size, MIN_PART_BYTES - filled)
            merged.append(Span(piece.key, 0, at))
            if filled + at < MIN_PART_BYTES:
                continue
            yield merged
            merged = []
        left = piece.size - at
        if left >= MIN_PART_BYTES:
            count = -(-left // largest)
            ends = [at + left * number // count for number in range(count + 1)]
            yield from ([Span(piece.key, first, end)] for first, end in pairwise(ends))
        elif left:
            merged = [Span(piece.key, at, piece.size)]
    if merged:
        yield merged
