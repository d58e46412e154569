"""Why an identity may do something with a repository, or not: the rules that allow it, or that come close."""

import os.path
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from accounts.identity import Identity
from acl.glob import ACCOUNT, literal_prefix
from acl.rules import CompiledRules, IdentityRules, SubjectRule, matcher
from core.api.notes import ANONYMOUS_NAME

# The most rules of each kind that a person reads.
MAX_RULES = 3


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision; `rules` are sentences: of the rules that allow it, otherwise of those that come close."""

    who: str
    action: str
    name: str
    is_allowed: bool
    rules: tuple[str, ...]

    @property
    def decision(self) -> str:
        """The decision as a sentence."""
        return f"{self.who} may {'' if self.is_allowed else 'not '}{self.action} {self.name}"

    def __str__(self) -> str:
        """Return the decision, and a line for each rule."""
        if not self.rules:
            return f"{self.decision}: no rule comes close"
        heading = "by" if self.is_allowed else "no rule allows it; these come close"
        return "\n".join([f"{self.decision}: {heading}", *(f"  {rule}" for rule in self.rules)])


def explain(
    rules: CompiledRules, identity: Identity, name: str, action: str, *, with_others: bool = True
) -> Explanation:
    """Explain whether `identity` may do `action` on the repository `name`.

    Rules for others name accounts and groups: without `with_others` they do not come close.
    """
    who = f"the robot {identity.name}" if identity.is_robot else identity.name or ANONYMOUS_NAME
    own = rules.of(identity)
    allowing = [rule.text for rule in own.rules if action in rule.actions and rule.matches(name)]
    if allowing:
        return Explanation(who, action, name, is_allowed=True, rules=tuple(allowing))
    near = [
        *islice(without_action(own, name, action), MAX_RULES),
        *(islice(_of_others(rules, identity, name, action), MAX_RULES) if with_others else ()),
        *_with_other_name(own, name, action),
    ]
    return Explanation(who, action, name, is_allowed=False, rules=tuple(near))


def without_action(own: IdentityRules, name: str, action: str) -> Iterator[str]:
    """Yield sentences about the rules that match `name` and allow other actions."""
    for rule in own.rules:
        if rule.matches(name):
            yield f"{rule.text}, but not {action}"


def _of_others(rules: CompiledRules, identity: Identity, name: str, action: str) -> Iterator[str]:
    who = identity.name or ANONYMOUS_NAME
    for rule in rules.rules:
        if action not in rule.actions or rule.applies_to(identity) or not _may_match(rule, name):
            continue
        if rule.group is not None:
            yield f"{rule.text}, but {who} is not a member"
        else:
            yield f"{rule.text}, but {'nobody is signed in' if identity.is_anonymous else f'this is {who}'}"


def _may_match(rule: SubjectRule, name: str) -> bool:
    """Tell whether a rule for somebody else matches `name`; one about `${account}` is for that account alone."""
    return ACCOUNT not in rule.pattern and matcher(rule.pattern)(name)


def _with_other_name(own: IdentityRules, name: str, action: str) -> list[str]:
    """Return sentences about the rules that allow the action, for the names most alike."""
    found = []
    for rule in own.rules:
        # A pattern may begin with /, by mistake, and a name never does.
        common = len(os.path.commonpath([literal_prefix(rule.pattern).lstrip("/"), name]))
        if action in rule.actions and common:
            found.append((-common, f"{rule.text}, which does not match {name}"))
    return [text for _, text in sorted(found)[:MAX_RULES]]
