"""Groups in the admin."""

from django.contrib.auth.models import Group

from accounts.models import Account
from acl.models import Rule
from tests.admin.browser import Browser
from tests.admin.test_accounts import page_of
from tests.caller import Caller

GROUPS = "/admin/auth/group/"


def test_the_list_counts_members(admin: Browser) -> None:
    Group.objects.create(name="writers").user_set.set(Account.objects.filter(name__in=["alice", "bob"]))

    response = admin.get(GROUPS)

    assert [group.member_total for group in response.context["cl"].result_list] == [2]


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
