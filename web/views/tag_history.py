"""The history of a tag, the way back to an earlier image, and the tags that were deleted."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_POST, require_safe

from acl.actions import PUSH
from acl.names import RepositoryName
from audit.kinds import Kind
from core.api.errors import RegistryError
from core.api.row_key import row_key
from distribution import tags
from distribution.manifests import history
from distribution.models import Tag
from distribution.protocol.digest import parse_digest
from distribution.protocol.references import Tag as TagName
from distribution.protocol.references import parse_tag
from policies.immutability import Obstacle
from web import contents
from web.overriding import may_override, note_of
from web.views.page import page, searched
from web.views.rights import denials_recorded, log_change, permitted, refused, repository_of, told
from web.visitor import Visitor, visitor_of
from webhooks.origin import Origin

# Tags with a history that are looked at for a page of deleted ones.
LOOKED_AT = 1000


@require_safe
def one_tag(request: HttpRequest, name: str, tag: str) -> HttpResponse:
    """Show who moved the tag, when, from which manifest to which."""
    visitor = visitor_of(request)
    parsed, wanted = visitor.pullable(name), _tag(tag)
    repository = repository_of(parsed)
    before = row_key(searched(request, "before")) or None
    # Earlier ones are those of another repository, which had this name.
    moves = history.moves(parsed, wanted, contents.PAGE, before, since=repository.created_at)
    found = Tag.objects.filter(repository=repository, name=wanted).values_list("manifest__digest", flat=True)
    now = found.first()
    if now is None and not moves.rows:
        raise Http404
    obstacle = _obstacle(visitor, parsed, wanted, now)
    return page(
        request,
        "tag_history.html",
        f"History of {parsed}:{wanted}",
        visitor,
        name=parsed,
        tag=wanted,
        moves=moves,
        now=now,
        last_key=moves.rows[-1].pk if moves.rows else 0,
        may_push=visitor.may(parsed, PUSH, wanted),
        obstacle=obstacle,
        overrides=obstacle is not None and obstacle.is_overridable and may_override(request),
    )


def _obstacle(visitor: Visitor, name: RepositoryName, tag: TagName, now: str | None) -> Obstacle | None:
    """Return what keeps the tag, at the digest `now`, from being moved; a deleted one may be restored."""
    found = Obstacle.to_move(name, visitor.version, tag)
    return None if found is not None and found.is_overridable and now is None else found


def _tag(text: str) -> TagName:
    try:
        return parse_tag(text)
    except RegistryError as error:
        raise Http404 from error


@require_POST
def roll_back(request: HttpRequest, name: str, tag: str) -> HttpResponse:
    """Point the tag at an earlier manifest."""
    visitor, parsed = permitted(request, name, PUSH)
    wanted = _tag(tag)
    note = note_of(request, Obstacle.to_move(parsed, visitor.version, wanted))
    try:
        digest = parse_digest(request.POST.get("digest", ""))
        by: Any = {"account": visitor.identity.name, "rules": visitor.rules, "origin": Origin(request)}
        with denials_recorded(request, visitor, parsed):
            has_moved = tags.point(parsed, wanted, digest, is_overridden=bool(note), **by)
    except RegistryError as error:
        return refused(request, error, "history", parsed, wanted)
    if not has_moved:
        return told(request, f"{wanted} was {digest} already.", "history", parsed, wanted)
    log_change(request, visitor, Kind.TAG_ROLLED_BACK, parsed, tag=wanted, digest=str(digest), detail=note)
    return told(request, f"{wanted} is {digest} now.", "history", parsed, wanted)


@require_safe
def deleted_tags(request: HttpRequest, name: str) -> HttpResponse:
    """Show the tags that the repository had."""
    visitor = visitor_of(request)
    parsed = visitor.pullable(name)
    since = repository_of(parsed).created_at
    rows, following = history.deleted_tags(parsed, searched(request, "after"), LOOKED_AT, since=since)
    title = f"Deleted tags of {parsed}"
    return page(request, "deleted_tags.html", title, visitor, name=parsed, rows=rows, following=following)
