"""Filters of the pages of repositories: the command that pulls a tag and who did something."""

from django import template

from acl.names import RepositoryName
from core.api.notes import ANONYMOUS_NAME
from distribution.protocol.spec import DOCKER_CONFIG, INDEX_TYPES, OCI_CONFIG
from web.contents import TagRow
from web.listing import MOST_COUNTED
from web.visitor import Visitor

_HELM = "application/vnd.cncf.helm.config.v1+json"
_IMAGES = ("", OCI_CONFIG, DOCKER_CONFIG)

register = template.Library()


@register.filter
def command(tag: TagRow, target: str) -> str:
    """Return the command that pulls a tag, for the client that its kind is for."""
    if tag.artifact_type == _HELM:
        name, _, version = target.rpartition(":")
        return f"helm pull oci://{name} --version {version}"
    if tag.media_type in INDEX_TYPES or tag.artifact_type in _IMAGES:
        return f"docker pull {target}"
    return f"oras pull {target}"


@register.filter
def who(account: str | None) -> str:
    """Return an account's name; None: nobody knows."""
    return "unknown" if account is None else account or ANONYMOUS_NAME


@register.filter
def folder_count(number: int) -> str:
    """Return a number of repositories; they are counted up to MOST_COUNTED."""
    return f"more than {MOST_COUNTED}" if number > MOST_COUNTED else str(number)


@register.simple_tag
def may(visitor: Visitor, name: RepositoryName, action: str) -> bool:
    """Return whether the visitor may do `action` with the repository."""
    return action in visitor.rules.actions_on(name)
