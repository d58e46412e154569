"""Access rules in the admin."""

from collections.abc import Callable
from typing import Any

import pytest

from acl.models import Rule
from tests.admin.browser import Browser, errors_of
from tests.admin.form import form_of
from tests.caller import Caller
from tests.images import Image

RULES = "/admin/acl/rule/"
NEW = {"subject_kind": "account", "subject": "charlie", "name": "team/*", "comment": ""}


def page_of(rule: Rule) -> str:
    return f"{RULES}{rule.pk}/change/"


def test_the_list_says_who_may_what_where(admin: Browser) -> None:
    Rule.objects.create(subject_kind="group", subject="writers", name="*", actions="pull,push", comment="ticket 7")
    Rule.objects.create(subject_kind="account", subject="*", name="shared/*", actions="pull")

    page = admin.text(RULES)

    for text in ("the group writers may pull and push *", "ticket 7", "everyone signed in may pull shared/*"):
        assert text in page
    assert "everybody may pull public/*" in page


@pytest.mark.parametrize(("allows", "count"), [("pull", 4), ("push", 2), ("delete", 2), ("nonsense", 4)])
def test_the_list_is_filtered_by_what_a_rule_allows(admin: Browser, allows: str, count: int) -> None:
    response = admin.get(RULES, allows=allows)

    assert response.context["cl"].result_count == count


def test_the_list_is_filtered_by_whom_a_rule_is_about(admin: Browser) -> None:
    response = admin.get(RULES, subject_kind__exact="anonymous")

    assert [rule.name for rule in response.context["cl"].result_list] == ["public/*"]


def test_the_list_is_searched(admin: Browser) -> None:
    response = admin.get(RULES, q="bob")

    assert [rule.subject for rule in response.context["cl"].result_list] == ["bob"]


@pytest.mark.parametrize(
    ("ticked", "stored"),
    [
        (["pull"], "pull"),
        (["push", "pull"], "pull,push"),
        (["delete", "pull", "push"], "pull,push,delete"),
        (["*"], "*"),
    ],
)
def test_ticked_actions_are_stored_in_their_one_order(admin: Browser, ticked: list[str], stored: str) -> None:
    response = admin.submit(f"{RULES}add/", **NEW, actions=ticked)

    assert response.status_code == 302
    assert Rule.objects.get(name="team/*").actions == stored


def test_a_rule_has_an_order_and_a_run_of_a_set(admin: Browser) -> None:
    asked = {**NEW, "name": "team/*([!/])", "order": "20"}
    refused = admin.submit(f"{RULES}add/", **asked, tags="v*", actions=["push"])
    assert "a rule with an order has no tags." in str(errors_of(refused))

    assert admin.submit(f"{RULES}add/", **asked, actions=["pull"]).status_code == 302
    assert str(Rule.objects.get(order=20)) == "order 20: charlie may pull team/*([!/]), and nothing else"
    asked = {"account": "charlie", "repository": "team/app", "action": "push"}
    assert "The first in order decides:" in admin.text(f"{RULES}explain/", **asked)


def test_a_group_of_any_name_has_rules(admin: Browser) -> None:
    response = admin.submit(
        f"{RULES}add/", **NEW | {"subject_kind": "group", "subject": "the writers"}, actions=["pull"]
    )

    assert response.status_code == 302


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subject": "nobody"}, "there is no account nobody"),
        ({"subject_kind": "group", "subject": "no[body"}, "there is no group no[body"),
        ({"name": "/x"}, "no repository can be called /x"),
        ({"subject": "alice", "name": "alice/app"}, "alice may pull, push and delete alice/*&quot; allows all of it"),
    ],
)
def test_a_saved_rule_that_can_do_nothing_is_told(admin: Browser, changes: dict[str, str], reason: str) -> None:
    response = admin.submit(f"{RULES}add/", **{**NEW, **changes}, actions=["pull"])

    assert response.status_code == 302
    page = admin.text(RULES).replace('"', "&quot;")
    assert "This rule has no effect: " in page
    assert reason in page


def test_a_rule_for_whoever_asks_is_taken_without_a_word(admin: Browser) -> None:
    response = admin.submit(f"{RULES}add/", **{**NEW, "subject": "*", "name": "${account}/*"}, actions=["pull"])

    assert response.status_code == 302
    assert "has no effect" not in admin.text(RULES)


def test_the_boxes_of_a_rule_are_ticked_as_it_is_stored(admin: Browser) -> None:
    rule = Rule.objects.create(subject_kind="account", subject="charlie", name="team/*", actions="pull,delete")

    form = form_of(admin.text(page_of(rule)))

    assert form["actions"] == ["pull", "delete"]


def test_saving_a_page_as_it_stands_changes_nothing(admin: Browser) -> None:
    rule = Rule.objects.create(subject_kind="account", subject="charlie", name="team/*", actions="pull,push")
    before = Rule.objects.filter(pk=rule.pk).values().get()

    response = admin.submit(page_of(rule))

    assert response.status_code == 302
    assert Rule.objects.filter(pk=rule.pk).values().get() == before
    assert "No fields changed" in admin.text(page_of(rule).replace("change", "history"))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("actions", {"actions": None}),
        ("actions", {"actions": ["pull", "fly"]}),
        ("name", {"name": ""}),
        ("name", {"name": "team/[a"}),
        ("name", {"name": "Team/*"}),
        ("name", {"name": "te am"}),
        ("subject", {"subject": ""}),
        ("subject", {"subject": "cha[rlie"}),
        ("subject", {"subject": "char lie"}),
        ("subject", {"subject_kind": "anonymous"}),
        ("subject_kind", {"subject_kind": "robot"}),
    ],
)
def test_what_is_wrong_is_said_at_its_field(admin: Browser, field: str, changes: dict[str, Any]) -> None:
    response = admin.submit(f"{RULES}add/", **{**NEW, "actions": ["pull"], **changes})

    assert list(errors_of(response)) == [field]
    assert not Rule.objects.filter(subject="charlie").exists()


def test_a_saved_rule_counts_for_a_token_issued_before(admin: Browser, bob: Caller, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    rule = Rule.objects.get(subject="bob")
    token = bob.token("repository:alice/app:pull")
    assert bob.get("/v2/alice/app/manifests/v1", token=token).status_code == 200

    narrowed = admin.submit(page_of(rule), name="alice/other")
    after_narrowing = bob.get("/v2/alice/app/manifests/v1", token=token)
    widened = admin.submit(page_of(rule), name="alice/a*")
    after_widening = bob.get("/v2/alice/app/manifests/v1", token=token)

    assert (narrowed.status_code, widened.status_code) == (302, 302)
    assert (after_narrowing.status_code, after_widening.status_code) == (401, 200)


def test_a_deleted_rule_allows_nothing_more(admin: Browser, bob: Caller, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    token = bob.token("repository:alice/app:pull")
    assert bob.get("/v2/alice/app/manifests/v1", token=token).status_code == 200

    admin.delete_selected(RULES, Rule.objects.get(subject="bob").pk)

    assert bob.get("/v2/alice/app/manifests/v1", token=token).status_code == 401
