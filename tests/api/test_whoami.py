"""`GET /api/v1/whoami`."""

from django.contrib.auth.models import Group

from accounts.models import Account
from tests.caller import Caller


def whoami(caller: Caller) -> object:
    """Return what the API says about the caller."""
    response = caller.client.get("/api/v1/whoami", headers={"Authorization": caller.basic})
    assert response.status_code == 200
    return response.json()


def test_it_names_the_account_and_its_groups(alice: Caller) -> None:
    groups = [Group.objects.create(name=name) for name in ("writers", "readers")]
    Account.objects.get(name="alice").groups.set(groups)

    answer = whoami(alice)

    powers = {"is_staff": False, "is_superuser": False}
    assert answer == {"name": "alice", "groups": ["readers", "writers"], **powers, "access_token": None}


def test_it_tells_a_superuser(alice: Caller) -> None:
    Account.objects.create_superuser("root", "the password of root")

    answer = whoami(Caller(alice.client, "root", "the password of root"))

    powers = {"is_staff": True, "is_superuser": True}
    assert answer == {"name": "root", "groups": [], **powers, "access_token": None}
