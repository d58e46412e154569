"""A proxy of hub/ to a registry that fails as it is told."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client

from acl.models import Rule
from distribution.caching import faults, manifests
from tests.caller import Caller
from tests.upstreams.fake import FakeRegistry, serving
from upstreams.models import Proxy


@pytest.fixture
def upstream() -> Iterator[FakeRegistry]:
    with serving(FakeRegistry()) as registry:
        yield registry


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Remember nothing of the upstreams of another test; leave no thread to the next."""
    faults.forget()
    manifests.forget()
    yield
    deadline = time.monotonic() + 30
    while any(thread.name == "fetch" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a fetch does not end"
        time.sleep(0.01)


@pytest.fixture
def proxy(disk: Path, cast: None, upstream: FakeRegistry, forgotten: None) -> Proxy:
    """Return the proxy; alice may pull from it, and she alone."""
    Rule.objects.create(subject_kind="account", subject="alice", name="hub/*", actions="*")
    return make_proxy(upstream)


def make_proxy(upstream: FakeRegistry, **values: object) -> Proxy:
    given = {"prefix": "hub/", "url": upstream.url, "allow_private_addresses": True, "tag_ttl": "1h"} | values
    return Proxy.objects.create(**given)


@pytest.fixture
def another(proxy: Proxy) -> Callable[[Caller], Caller]:
    """Return the same account with a client of its own, for another thread."""

    def make(caller: Caller) -> Caller:
        other = Caller(Client(), caller.name, caller.password)
        other.tokens |= caller.tokens
        return other

    return make
