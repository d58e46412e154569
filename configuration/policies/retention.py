"""`policies.retention`."""

from datetime import timedelta
from typing import Annotated

from typing_extensions import TypedDict

from configuration.converters import BOOLEAN, COMMENT, duration, integer
from configuration.element import Members
from configuration.policies.globs import REPOSITORIES, TAGS
from configuration.section import Key

_NUMBER = integer(1, 10**6)
_WITHIN = duration(timedelta(minutes=1), "of at least 1m")
_RULES = ("keep_last", "keep_pushed_within", "keep_pulled_within", "keep_tags", "keep_minors")


class Retention(TypedDict, total=False):
    """Which tags stay: what no rule keeps is removed by the next collection."""

    repositories: Annotated[str, REPOSITORIES, Key("Repositories by glob.", required="a repository or a pattern")]
    except_repositories: Annotated[str, REPOSITORIES, Key("Repositories that it does not hold for.")]
    tags: Annotated[str, TAGS, Key("The tags that it is about.")]
    except_tags: Annotated[str, TAGS, Key("Tags that it is not about.")]
    keep_last: Annotated[int, _NUMBER, Key("Keep as many tags as were pushed last.")]
    keep_pushed_within: Annotated[timedelta, _WITHIN, Key("Keep tags that were pushed within this time.")]
    keep_pulled_within: Annotated[timedelta, _WITHIN, Key("Keep tags that were pulled within this time.")]
    keep_tags: Annotated[str, TAGS, Key("Tags to keep.")]
    keep_minors: Annotated[int, _NUMBER, Key("Keep the versions of as many minor versions.")]
    keep_patches: Annotated[int, _NUMBER, Key("Of each of these, keep as many patches.")]
    remove_untagged: Annotated[bool, BOOLEAN, Key("Also remove manifests that nothing holds.")]
    remove_signatures: Annotated[bool, BOOLEAN, Key("Also remove signatures of images that are gone.")]
    comment: Annotated[str, COMMENT, Key("For you.")]


def check(policy: Members) -> None:
    """Report what the model refuses too (`policies.models.retention`)."""
    has_rules = any(rule in policy for rule in _RULES)
    if not has_rules and not (policy.get("remove_untagged") or policy.get("remove_signatures")):
        policy.element.report(f"one of {', '.join(_RULES)}, remove_untagged and remove_signatures", "none of them")
    for tags in ("tags", "except_tags"):
        if tags in policy and not has_rules:
            policy.elements[tags].report("no such key without a rule that keeps some of them")
    if "keep_patches" in policy and "keep_minors" not in policy:
        policy.elements["keep_patches"].report("no such key without keep_minors")
