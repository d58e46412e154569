"""Groups in the admin."""

from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Account
from acl.models import Rule
from tests.admin.browser import Browser, staff
from tests.admin.test_accounts import page_of
from tests.caller import Caller

GROUPS = "/admin/auth/group/"


def test_the_list_counts_members(admin: Browser) -> None:
    Group.objects.create(name="writers").user_set.set(Account.objects.filter(name__in=["alice", "bob"]))

    response = admin.get(GROUPS)

    assert [group.member_total for group in response.context["cl"].result_list] == [2]


def test_a_group_shows_its_members_and_rules(admin: Browser) -> None:
    group = Group.objects.create(name="writers")
    group.user_set.set(Account.objects.filter(name__in=["alice", "bob"]))
    Rule.objects.create(subject_kind="group", subject="writers", name="team/*", actions="pull")

    page = admin.text(f"{GROUPS}{group.pk}/change/")

    for text in (">alice</a>", ">bob</a>", "the group writers may pull team/*"):
        assert text in page


def test_a_deletion_names_the_rules_that_then_match_nobody(admin: Browser) -> None:
    group = Group.objects.create(name="writers")
    Rule.objects.create(subject_kind="group", subject="writers", name="team/*", actions="pull")

    page = admin.text(f"{GROUPS}{group.pk}/delete/")

    assert "the group writers may pull team/*: this rule then matches nobody" in page
    assert "writers, with 0 members" in page


def test_a_new_name_leaves_rules_behind_and_tells_so(admin: Browser) -> None:
    group = Group.objects.create(name="writers")
    Rule.objects.create(subject_kind="group", subject="writers", name="team/*", actions="pull")

    admin.submit(f"{GROUPS}{group.pk}/change/", name="authors")

    assert "1 rule still for the group writers, which is gone" in admin.text(GROUPS)


def test_a_group_is_made_with_a_name_alone(admin: Browser) -> None:
    assert admin.submit(f"{GROUPS}add/", name="writers").status_code == 302


def test_the_list_costs_the_same_for_more_groups(admin: Browser) -> None:
    Group.objects.create(name="writers")
    with CaptureQueriesContext(connection) as few:
        admin.text(GROUPS)
    Group.objects.bulk_create(Group(name=f"group-{number}") for number in range(30))

    with CaptureQueriesContext(connection) as many:
        admin.text(GROUPS)

    assert len(many) == len(few)


def test_who_joins_a_group_has_its_rights_at_the_next_request(admin: Browser, charlie: Caller) -> None:
    group = Group.objects.create(name="writers")
    Rule.objects.create(subject_kind="group", subject="writers", name="team/*", actions="pull")
    assert not may_list(charlie)

    admin.submit(page_of("charlie"), groups=[str(group.pk)])

    assert may_list(charlie)


def test_who_leaves_a_group_has_its_rights_no_more(admin: Browser, charlie: Caller) -> None:
    group = Group.objects.create(name="writers")
    Account.objects.get(name="charlie").groups.add(group)
    Rule.objects.create(subject_kind="group", subject="writers", name="team/*", actions="pull")
    token = charlie.token("repository:team/app:pull")
    assert charlie.get("/v2/team/app/tags/list", token=token).status_code == 404

    admin.submit(page_of("charlie"), groups=None)

    assert charlie.get("/v2/team/app/tags/list", token=token).status_code == 401


def may_list(caller: Caller) -> bool:
    """Tell whether a new token of `caller` reads team/app: 404 is the answer to whoever may know that it's empty."""
    token = str(caller.ask_token("repository:team/app:pull").json()["token"])
    return bool(caller.get("/v2/team/app/tags/list", token=token).status_code == 404)


def test_names_of_members_and_rules_are_for_those_who_may_view_them(cast: None) -> None:
    group = Group.objects.create(name="writers")
    group.user_set.set(Account.objects.filter(name__in=["alice", "bob"]))
    Rule.objects.create(subject_kind="group", subject="writers", name="team/*", actions="pull")
    Rule.objects.create(subject_kind="account", subject="bob", name="team/*", actions="pull")
    clerk = staff("clerk", "view_group", "change_group", "delete_group")
    page, asked = clerk.text(f"{GROUPS}{group.pk}/change/"), clerk.text(f"{GROUPS}{group.pk}/delete/")
    clerk.submit(f"{GROUPS}{group.pk}/change/", name="authors")
    told = clerk.text(GROUPS)
    keeper = staff("keeper", "view_account", "delete_account")

    for text in (page, asked, told, keeper.text(f"{page_of('bob')[: -len('change/')]}delete/")):
        assert "team/*" not in text
    assert "alice" not in page
    assert "rules that then match nobody: 1" in asked
    assert "1 rule still for the group writers, which is gone." in told


def test_each_right_shows_its_names(cast: None) -> None:
    group = Group.objects.create(name="writers")
    group.user_set.set(Account.objects.filter(name="alice"))
    Rule.objects.create(subject_kind="group", subject="writers", name="team/*", actions="pull")
    path = f"{GROUPS}{group.pk}/change/"

    of_accounts = staff("clerk", "view_group", "view_account").text(path)
    of_rules = staff("other", "view_group", "view_rule").text(path)

    assert [">alice</a>" in of_accounts, "team/*" in of_accounts] == [True, False]
    assert [">alice</a>" in of_rules, "team/*" in of_rules] == [False, True]
