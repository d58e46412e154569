"""`policies.read_only`."""

from typing import Annotated

from typing_extensions import TypedDict

from configuration.converters import COMMENT
from configuration.policies.globs import REPOSITORIES
from configuration.section import Key


class ReadOnly(TypedDict, total=False):
    """Repositories to which nothing is pushed, and in which nothing is deleted."""

    repositories: Annotated[str, REPOSITORIES, Key("Repositories by glob.", required="a repository or a pattern")]
    except_repositories: Annotated[str, REPOSITORIES, Key("Repositories that it does not hold for.")]
    message: Annotated[str, COMMENT, Key("What clients print.")]
    comment: Annotated[str, COMMENT, Key("For you.")]
