"""Who works in the admin."""

import pytest

from accounts.models import Account
from tests.admin.browser import Browser, staff
from tests.audit.conftest import queue, written  # noqa: F401 - fixtures
from tests.caller import Caller
from tests.conftest import hashed
from tests.images import Image, digest_of, index, manifest, push_blob, put_manifest


@pytest.fixture
def root(cast: None) -> Account:
    """Make a superuser, who has no rule."""
    password = hashed("the password of root")
    return Account.objects.create(name="root", password=password, is_staff=True, is_superuser=True)


@pytest.fixture
def admin(root: Account) -> Browser:
    """Sit at the admin as the superuser."""
    browser = Browser()
    browser.client.force_login(root)
    return browser


@pytest.fixture
def manager(cast: None) -> Browser:
    """Sit at the admin as somebody who manages accounts and groups, and is no superuser."""
    verbs = ("view", "add", "change", "delete")
    return staff("manager", *(f"{verb}_{model}" for verb in verbs for model in ("account", "group")))


@pytest.fixture
def family(alice: Caller) -> Image:
    """Push an index with two manifests, which nothing else holds."""
    config = push_blob(alice, "alice/app", b"{}")
    push_blob(alice, "alice/app", b"layer")
    children = [manifest(b"{}", b"layer", annotations={"number": str(number)}) for number in range(2)]
    for child in children:
        put_manifest(alice, "alice/app", digest_of(child), child)
    parent = index(*children)
    put_manifest(alice, "alice/app", "multi", parent)
    return Image("alice/app", parent, digest_of(parent), config, ())
