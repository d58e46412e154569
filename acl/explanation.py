"""Why an identity may do something with a repository, or not: the rules that decide, or that come close."""

import os.path
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from accounts.identity import Identity
from acl.actions import PULL
from acl.glob import ACCOUNT, GROUP, literal_prefix
from acl.rules import CompiledRule, CompiledRules, IdentityRules, SubjectRule, matcher
from core.api.notes import ANONYMOUS_NAME

# The most rules of each kind that a person reads.
MAX_RULES = 3


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision; `rules` are sentences: of the rules that allow or deny it, otherwise of those that come close.

    Of an action that is allowed for some tags only, the rules about tags are among them.
    """

    who: str
    action: str
    name: str
    is_allowed: bool
    rules: tuple[str, ...]
    is_denied: bool = False
    is_first: bool = False
    """Whether it is denied by the first rules in order, which allow less."""
    where: str = ""
    """The address, if it is known."""

    @property
    def decision(self) -> str:
        """The decision as a sentence."""
        where = f" from {self.where}" if self.where else ""
        return f"{self.who} may {'' if self.is_allowed else 'not '}{self.action} {self.name}{where}"

    @property
    def heading(self) -> str:
        """What the rules are."""
        if self.is_allowed:
            return "by"
        if self.is_denied:
            return "denied, whatever else is allowed, by"
        if self.is_first:
            return "the first in order decides"
        return "no rule allows it; these come close" if self.rules else "no rule comes close"

    def __str__(self) -> str:
        """Return the decision, and a line for each rule."""
        heading = f"{self.decision}: {self.heading}"
        return "\n".join([heading, *(f"  {rule}" for rule in self.rules)])


def explain(
    rules: CompiledRules,
    identity: Identity,
    name: str,
    action: str,
    *,
    tag: str | None = None,
    address: str = "",
    with_others: bool = True,
) -> Explanation:
    """Explain whether `identity` may do `action` on the repository `name`, or on one of its tags.

    Rules for others name accounts and groups: without `with_others` they do not come close. `address` is that from
    which `identity` has its networks.
    """
    who = f"the robot {identity.name}" if identity.is_robot else identity.name or ANONYMOUS_NAME
    # A pull is never limited by tags.
    asked = None if action == PULL else tag
    shown = f"{name}:{tag}" if tag is not None else name
    own = rules.of(identity)
    # Without a tag, a rule that denies some tags does not decide, and one that allows some does.
    denying = [rule.text for rule in own.denials if rule.matches(name) and rule.covers(action, asked)]
    allowing = [rule.text for rule in own.allowing(name) if _is_about(rule, action, asked)]
    if denying:
        return Explanation(who, action, shown, is_allowed=False, rules=tuple(denying), is_denied=True, where=address)
    if allowing:
        some = [rule.text for rule in own.denials if rule.matches(name) and _is_about(rule, action, asked)]
        return Explanation(who, action, shown, is_allowed=True, rules=(*allowing, *some), where=address)
    if first := own.first(name):
        texts = tuple(rule.text for rule in first)
        return Explanation(who, action, shown, is_allowed=False, rules=texts, is_first=True, where=address)
    near = [
        *islice(without_action(own, name, action), MAX_RULES),
        *islice(_elsewhere(rules, identity, name, action, address), MAX_RULES),
        *(islice(_of_others(rules, identity, name, action), MAX_RULES) if with_others else ()),
        *_with_other_name(own, name, action),
    ]
    return Explanation(who, action, shown, is_allowed=False, rules=tuple(near), where=address)


def _is_about(rule: CompiledRule, action: str, tag: str | None) -> bool:
    return action in rule.actions if tag is None else rule.covers(action, tag)


def without_action(own: IdentityRules, name: str, action: str) -> Iterator[str]:
    """Yield sentences about the rules that match `name` and allow other actions, or the action for other tags."""
    for rule in own.rules:
        if rule.matches(name):
            yield f"{rule.text}, but not this tag" if action in rule.actions else f"{rule.text}, but not {action}"


def _elsewhere(rules: CompiledRules, identity: Identity, name: str, action: str, address: str) -> Iterator[str]:
    """Yield sentences about the own rules that have ended, or count for other networks."""
    for rule in (*rules.rules, *rules.ended):
        if rule.is_deny or action not in rule.actions or not rule.applies_to(identity):
            continue
        if not rule.compiled(identity).matches(name):
            continue
        if not rule.is_at(identity):
            yield f"{rule.text}, but {f'this is {address}' if address else 'the address is not known'}"
        elif rule in rules.ended:
            yield f"{rule.text}, which has ended"


def _of_others(rules: CompiledRules, identity: Identity, name: str, action: str) -> Iterator[str]:
    who = identity.name or ANONYMOUS_NAME
    for rule in rules.rules:
        if rule.is_deny or action not in rule.actions or rule.applies_to(identity) or not _may_match(rule, name):
            continue
        if rule.group is not None:
            yield f"{rule.text}, but {who} is not a member"
        else:
            yield f"{rule.text}, but {'nobody is signed in' if identity.is_anonymous else f'this is {who}'}"


def _may_match(rule: SubjectRule, name: str) -> bool:
    """Tell whether a rule for somebody else matches `name`; one about `${account}` is for that account alone."""
    return ACCOUNT not in rule.pattern and GROUP not in rule.pattern and matcher(rule.pattern)(name)


def _with_other_name(own: IdentityRules, name: str, action: str) -> list[str]:
    """Return sentences about the rules that allow the action, for the names most alike."""
    found = []
    for rule in own.rules:
        if action not in rule.actions or rule.matches(name):
            continue
        common = max((_common(pattern, name) for pattern in rule.patterns), default=0)
        if common:
            found.append((-common, f"{rule.text}, which does not match {name}"))
    return [text for _, text in sorted(found)[:MAX_RULES]]


def _common(pattern: str, name: str) -> int:
    # A pattern may begin with /, by mistake, and a name never does.
    return len(os.path.commonpath([literal_prefix(pattern).lstrip("/"), name]))
