"""What a rule's form takes and refuses."""

import pytest
from django.core.exceptions import ValidationError

from acl.actions import canonical, expand
from acl.models import Rule


def rule(kind: str = "account", subject: str = "alice", name: str = "alice/*", actions: str = "pull") -> Rule:
    return Rule(subject_kind=kind, subject=subject, name=name, actions=actions)


@pytest.mark.parametrize(
    "sound",
    [
        rule(),
        rule(subject="*"),
        rule(subject="ci-[0-9]"),
        rule("group", "team a"),
        rule("group", "dev[ops*"),
        rule(name="${account}/*"),
        rule("anonymous", ""),
        rule(name="*"),
        rule(name="registry.example/a"),
        rule(actions="pull,push,delete"),
        rule(actions="*"),
        rule(subject="n" * 255, name="n" * 255),
    ],
    ids=str,
)
def test_a_sound_rule_is_taken(sound: Rule) -> None:
    sound.full_clean(validate_unique=False)


@pytest.mark.parametrize(
    ("unsound", "field"),
    [
        (rule("root"), "subject_kind"),
        (rule(""), "subject_kind"),
        (rule("Anonymous", ""), "subject_kind"),
        (rule("account", ""), "subject"),
        (rule("account", "dev[ops"), "subject"),
        (rule("anonymous", "", "${account}/*"), "name"),
        (rule(name="[${account}]"), "name"),
        (rule("group", ""), "subject"),
        (rule("anonymous", "alice"), "subject"),
        (rule("anonymous", "*"), "subject"),
        (rule(subject="["), "subject"),
        (rule(subject="n" * 256), "subject"),
        (rule(name=""), "name"),
        (rule(name="["), "name"),
        (rule(name="[z-a]"), "name"),
        (rule(name="n" * 256), "name"),
        (rule(actions=""), "actions"),
        (rule(actions="fly"), "actions"),
        (rule(actions="push,pull"), "actions"),
        (rule(actions="pull, push"), "actions"),
        (rule(actions="pull,pull"), "actions"),
        (rule(actions="pull,"), "actions"),
        (rule(actions="PULL"), "actions"),
    ],
    ids=str,
)
def test_an_unsound_rule_is_refused(unsound: Rule, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        unsound.full_clean(validate_unique=False)

    assert field in caught.value.message_dict


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (["push", "pull"], "pull,push"),
        (["*", "delete", "pull"], "pull,delete,*"),
        (["pull", "pull"], "pull"),
        ([], None),
        ([""], None),
        (["pull", "fly"], None),
        (["PULL"], None),
    ],
)
def test_actions_have_one_order(actions: list[str], expected: str | None) -> None:
    assert canonical(actions) == expected


def test_a_star_is_every_action_and_an_unknown_one_is_none() -> None:
    assert expand(["*"]) == {"pull", "push", "delete"}
    assert expand(["fly", "pull"]) == {"pull"}


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (rule(), "alice may pull alice/*"),
        (rule("group", "team", actions="*"), "the group team may pull, push and delete alice/*"),
        (rule("anonymous", "", "*"), "everybody may pull *"),
    ],
)
def test_a_rule_says_what_it_allows(of: Rule, text: str) -> None:
    assert str(of) == text
