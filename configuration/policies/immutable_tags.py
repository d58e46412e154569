"""`policies.immutable_tags`."""

from typing import Annotated

from typing_extensions import TypedDict

from configuration.converters import BOOLEAN, COMMENT
from configuration.element import Members
from configuration.policies.globs import REPOSITORIES, TAGS
from configuration.section import Key


class ImmutableTags(TypedDict, total=False):
    """Tags that never move, and repositories in which nothing is deleted."""

    repositories: Annotated[str, REPOSITORIES, Key("Repositories by glob.", required="a repository or a pattern")]
    except_repositories: Annotated[str, REPOSITORIES, Key("Repositories that it does not hold for.")]
    tags: Annotated[str, TAGS, Key("Tags that never move once they are set.")]
    except_tags: Annotated[str, TAGS, Key("Tags that may move all the same.")]
    protected: Annotated[bool, BOOLEAN, Key("Nothing is deleted in these repositories.")]
    comment: Annotated[str, COMMENT, Key("For you.")]


def check(policy: Members) -> None:
    """Report what the model refuses too (`policies.models.immutable_tags`)."""
    if "tags" not in policy and not policy.get("protected"):
        policy.element.report("tags, or `protected: true`", "neither")
    if "except_tags" in policy and "tags" not in policy:
        policy.elements["except_tags"].report("no such key without tags")
