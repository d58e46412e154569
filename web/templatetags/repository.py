"""Filters of the pages of repositories: the command that pulls a tag and who did something."""

from collections.abc import Sequence
from typing import NamedTuple

from django import template
from django.template import Context

from acl.names import RepositoryName
from core.api.notes import ANONYMOUS_NAME
from distribution.protocol.references import parse_tag
from distribution.protocol.spec import INDEX_TYPES
from policies.immutability import Obstacle
from web.contents import TagRow
from web.image.kinds import ARTIFACT, CHART, HELM_CONFIG, IMAGE
from web.image.pull_commands import commands_for
from web.listing import MOST_COUNTED
from web.platforms import IMAGE_CONFIGS
from web.visitor import Visitor

register = template.Library()


@register.filter
def command(tag: TagRow, target: str) -> str:
    """Return the usual command that pulls a tag, for the client that its kind is for."""
    if tag.artifact_type == HELM_CONFIG:
        kind = CHART
    else:
        kind = IMAGE if tag.media_type in INDEX_TYPES or tag.artifact_type in ("", *IMAGE_CONFIGS) else ARTIFACT
    repository, _, name = target.rpartition(":")
    return commands_for(kind, repository, parse_tag(name))[0].text


@register.filter
def who(account: str | None) -> str:
    """Return an account's name; None: nobody knows."""
    return "unknown" if account is None else account or ANONYMOUS_NAME


@register.filter
def folder_count(number: int) -> str:
    """Return a number of repositories; they are counted up to MOST_COUNTED."""
    return f"more than {MOST_COUNTED}" if number > MOST_COUNTED else str(number)


class Kept(NamedTuple):
    """Why something can't be deleted; `is_final` unless the visitor may set that aside."""

    reason: str
    is_final: bool


@register.simple_tag(takes_context=True)
def obstacle(context: Context, name: str, tags: str | Sequence[str] = ()) -> Kept | None:
    """Return what keeps a tag, or a manifest with its tags, from deletion; without tags, what keeps everything."""
    names = [tags] if isinstance(tags, str) else tags
    found = Obstacle.to_deletion(name, context["visitor"].version, names)
    if found is None:
        return None
    return Kept(found.reason, is_final=not (found.is_overridable and context["may_override"]()))


@register.simple_tag
def may(visitor: Visitor, name: RepositoryName, action: str, reference: str) -> bool:
    """Return whether the visitor may do `action` with a tag; of a digest, with some tag."""
    return action in visitor.rules.actions_on(name) if ":" in reference else visitor.may(name, action, reference)
