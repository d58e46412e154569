"""A token holds what was asked for and is allowed at this moment."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.identity import ANONYMOUS, Identity
from acl.actions import Access
from acl.models import Rule
from core.api.errors import RegistryError
from tokens.issue import IssuedToken, issue

pytestmark = pytest.mark.usefixtures("cast")

ALICE, BOB = Identity("alice"), Identity("bob")


def ask(identity: Identity, name: str, actions: Iterable[str], type_: str = "repository") -> frozenset[str]:
    issued = issue(identity, [Access(type_, name, frozenset(actions))])
    (entry,) = jwt.decode(issued.token, options={"verify_signature": False})["access"]
    return frozenset(entry["actions"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([ALICE, BOB, ANONYMOUS, Identity("charlie"), Identity("bob", frozenset({"alice"}))]),
    st.sampled_from(["alice/app", "public/app", "alice", "bob/app", "other", "ALICE/app", ""]),
    st.frozensets(st.sampled_from(["pull", "push", "delete", "*", "fly", ""])),
)
def test_nothing_is_granted_beyond_what_was_asked_and_what_is_allowed(
    identity: Identity, name: str, actions: frozenset[str]
) -> None:
    allowed = {
        ("alice", "alice/app"): {"pull", "push", "delete"},
        ("alice", "public/app"): {"pull", "push", "delete"},
        ("bob", "alice/app"): {"pull"},
    }.get((identity.name, name), {"pull"} if name == "public/app" else set())

    granted = ask(identity, name, actions)

    assert granted == (allowed if "*" in actions else allowed & actions)


def test_a_right_that_was_removed_is_not_granted() -> None:
    assert ask(BOB, "alice/app", ["pull"]) == {"pull"}

    Rule.objects.filter(subject="bob").delete()

    assert ask(BOB, "alice/app", ["pull"]) == frozenset()


def test_the_scope_leaves_out_what_was_not_granted() -> None:
    asked = [
        Access("repository", "alice/app", frozenset({"pull", "push"})),
        Access("repository", "other", frozenset({"pull"})),
        Access("registry", "catalog", frozenset({"*"})),
    ]

    assert issue(BOB, asked).scope == "repository:alice/app:pull registry:catalog:*"


def test_a_token_lives_as_long_as_configured(settings: Settings) -> None:
    registry = settings.REGISTRY
    settings.REGISTRY = replace(registry, auth=replace(registry.auth, expiration=timedelta(seconds=90)))

    issued: IssuedToken = issue(ALICE, [])

    assert issued.expires_in_seconds == 90


def test_the_largest_account_name_fits() -> None:
    assert len(issue(Identity("n" * 128), [Access("repository", "a" * 255, frozenset({"pull"}))]).token) < 2000


def test_a_token_above_7_kib_is_refused_with_its_size() -> None:
    asked = [Access("repository", f"{'a' * 248}{number}", frozenset()) for number in range(18)]

    with pytest.raises(RegistryError, match=r"the token has 7\d{3} bytes, at most 7168 fit") as caught:
        issue(ALICE, asked)
    assert caught.value.status == 400


def test_scopes_that_fit_into_no_token_are_refused_before_a_rule_is_asked(
    django_assert_num_queries: Callable[..., AbstractContextManager[object]],
) -> None:
    asked = [Access("repository", f"a{number}", frozenset({"pull"})) for number in range(400)]

    with (
        django_assert_num_queries(0),
        pytest.raises(RegistryError, match=r"the token has at least \d{5} bytes, at most 7168 fit"),
    ):
        issue(ALICE, asked)
