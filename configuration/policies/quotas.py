"""`policies.quotas`."""

from typing import Annotated

from typing_extensions import TypedDict

from configuration.converters import COMMENT, choice, integer, size
from configuration.element import Members
from configuration.policies.globs import REPOSITORIES
from configuration.section import Key


class Quotas(TypedDict, total=False):
    """How many bytes and tags repositories may have."""

    repositories: Annotated[str, REPOSITORIES, Key("Repositories by glob.", required="a repository or a pattern")]
    except_repositories: Annotated[str, REPOSITORIES, Key("Repositories that it does not hold for.")]
    each: Annotated[str, choice("whole", "repository", "namespace"), Key("What is counted together.")]
    max_size: Annotated[int, size('a size as "10GiB", of at least 1KiB', 2**10), Key("Bytes of blobs.")]
    max_tags: Annotated[int, integer(1, 10**9), Key("Tags.")]
    comment: Annotated[str, COMMENT, Key("For you.")]


def check(quota: Members) -> None:
    """Report what the model refuses too (`policies.models.quota`)."""
    if "max_size" not in quota and "max_tags" not in quota:
        quota.element.report("max_size, max_tags, or both", "neither")
