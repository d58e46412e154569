"""What a deletion frees, in words: which bytes, which stay and why, and when."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.utils.timesince import timesince

from core.sizes import counted, size_text
from distribution.manifests.freed import MAX_SHARING, Freed, Keeps, Policy
from distribution.storage import trash

_STAYS = {
    Keeps.TAGS: "The image stays, since other tags name it. Nothing is freed.",
    Keeps.INDEXES: "The image stays, since an index lists it. Nothing is freed.",
    Keeps.SUBJECT: "Its manifest stays, since it is about another one of this repository. Nothing is freed.",
    Keeps.REPOSITORY: "The image stays without a tag: this repository keeps untagged manifests. Nothing is freed. "
    "To free its space, delete the manifest instead.",
    Keeps.POLICY: "The image stays without a tag: untagged manifests are not removed here. Nothing is freed. "
    "To free its space, delete the manifest instead.",
}
_START = datetime(2000, 1, 1, tzinfo=UTC)


def sentences(freed: Freed, policy: Policy) -> Iterator[str]:
    """Yield what the deletion of a tag or manifest frees, what stays, and when."""
    if freed.keeps:
        yield _STAYS[freed.keeps]
        return
    if freed.own_bytes:
        yield f"Frees {_amount(freed)} {_when(policy)}."
    else:
        yield "Frees no bytes."
    if freed.manifests > 1:
        yield f"{counted(freed.manifests - 1, 'manifest')} that only this one needs go with it."
    yield from _shared(freed)


def sentences_of_repository(freed: Freed) -> Iterator[str]:
    """Yield what the deletion of a repository frees, and what stays."""
    if freed.own_bytes:
        delay = in_words(trash.DELAY)
        yield f"Frees {_amount(freed)} about {delay} after its contents are removed, which begins within a minute."
    else:
        yield "Frees no bytes."
    yield from _shared(freed)


def _amount(freed: Freed) -> str:
    if freed.repositories_sharing is None:
        return f"up to {size_text(freed.own_bytes)}{'' if freed.is_complete else ' or more'}"
    return f"{'' if freed.is_complete else 'more than '}{size_text(freed.own_bytes)}"


def _shared(freed: Freed) -> Iterator[str]:
    if freed.repositories_sharing is None and freed.own_bytes:
        yield "Content that other repositories use stays."
    if not freed.shared_bytes:
        return
    with_whom = [
        f"{'more than ' if number >= MAX_SHARING else ''}{counted(number, noun, plural)}"
        for number, noun, plural in (
            (freed.manifests_sharing, "other manifest", "other manifests"),
            (freed.repositories_sharing or 0, "other repository", "other repositories"),
        )
        if number
    ]
    more = "" if freed.is_complete else "More than "
    is_one = freed.manifests_sharing + (freed.repositories_sharing or 0) == 1
    share = "shares" if is_one else "share"
    yield f"{more}{size_text(freed.shared_bytes)} stay: {' and '.join(with_whom)} {share} them."


def _when(policy: Policy) -> str:
    after = f" after {in_words(policy.grace_period)}" if policy.grace_period else ""
    if policy.is_automatic:
        return f"at the first collection{after}"
    return f"when somebody runs the garbage collector{after}: here it does not run by itself"


def in_words(duration: timedelta) -> str:
    """Return a duration as text: `2 days, 3 hours`."""
    return timesince(_START, _START + duration, depth=2).replace("\xa0", " ")
