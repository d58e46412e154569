"""Robots of the configuration file."""

import pytest
from django.contrib.auth.models import Group

from accounts import robots
from accounts.models import Account
from provisioning import export
from tests.provisioning.test_loadconfig import ACL, USERS, Import, load_config  # noqa: F401 - a fixture
from tokens.access import store

pytestmark = pytest.mark.django_db

ROBOT = "users:\n  ci: {robot: true, owner: team, groups: [builders]}\n"


def test_a_robot_is_imported_with_its_owner(load_config: Import) -> None:  # noqa: F811
    load_config(ROBOT + ACL)

    robot = Account.objects.get(name="ci")
    assert (robot.is_robot, robot.owner, robot.has_usable_password()) == (True, Group.objects.get(name="team"), False)
    assert [group.name for group in robot.groups.all()] == ["builders"]


def test_a_changed_robot_keeps_its_tokens(load_config: Import) -> None:  # noqa: F811
    load_config(ROBOT + ACL)
    token = store.create(Account.objects.get(name="ci"), "job")[1]

    load_config(ROBOT.replace("team", "heirs").replace("builders", "web") + ACL)

    assert Account.objects.get(name="ci").owner == Group.objects.get(name="heirs")
    assert store.identify("ci", token) is not None


def test_a_person_that_becomes_a_robot_loses_the_password_and_its_tokens(load_config: Import) -> None:  # noqa: F811
    load_config(USERS + ACL)
    token = store.create(Account.objects.get(name="developer"), "job")[1]

    load_config(ROBOT.replace("ci:", "developer:") + ACL)

    assert not Account.objects.get(name="developer").has_usable_password()
    assert store.identify("developer", token) is None


def test_a_robot_that_left_the_file_is_refused(load_config: Import) -> None:  # noqa: F811
    load_config(ROBOT + ACL)
    token = store.create(Account.objects.get(name="ci"), "job")[1]

    load_config("users: {}\n" + ACL)

    assert store.identify("ci", token) is None


def test_the_export_has_robots_and_names_those_without_an_owner(load_config: Import) -> None:  # noqa: F811
    load_config(ROBOT + ACL)
    robots.create("orphan", Group.objects.create(name="gone"))
    Group.objects.get(name="gone").delete()

    text = export.yaml_text(with_hashes=True)
    assert "  ci:\n    robot: true\n    owner: team\n    groups:\n    - builders\n" in text
    assert "# Without the robot 'orphan'" in text
    load_config(text)
