"""Requests generated from the schema: no fault of the registry, and no status or body that the schema lacks.

A longer run against a server, as an administrator:

    schemathesis run http://127.0.0.1:5000/api/v1/schema --auth admin:PASSWORD --max-examples 200
"""

import os
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import Group
from django.test.client import ClientHandler
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from accounts.models import Account
from acl.models import Rule
from api.schema import document
from collector.jobs import queue
from collector.models import Run
from tests.caller import Caller
from tests.images import push_image
from tokens.access import store

EXAMPLES = int(os.environ.get("REGISTRY_API_EXAMPLES", "3"))
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


def registry(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer as WSGI, through the handler of Django's test client, which leaves the test its connection."""
    response: Any = ClientHandler(enforce_csrf_checks=False)(environ)
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return [response.content]


@pytest.fixture
def known(alice: Caller, root: Caller) -> dict[str, object]:
    """Make something of each kind, and return what names it in a path; the administrator may do all with it."""
    image = push_image(alice, "alice/app", "v1")
    rule = Rule.objects.create(subject_kind="account", subject=root.name, name="*", actions="*")
    run = Run(grace_period=timedelta(days=1), remove_untagged=False)
    queue.add(run, "root")
    group = Group.objects.create(name="team")
    numbers = {"rule_id": rule.pk, "run_id": run.pk, "group_id": group.pk}
    numbers["token_id"] = store.create(Account.objects.get(name=root.name), "ci")[0].pk
    return numbers | {"name": "alice/app", "tag": "v1", "reference": "v1", "digest": image.digest}


def test_no_request_has_an_answer_that_the_schema_lacks(root: Caller, known: dict[str, object]) -> None:
    headers = {"Authorization": root.basic}
    # Of an account.
    names = {"/api/v1/accounts/{name}": "bob"}

    def ask(case: Any) -> None:
        for existing in ({}, known | {"name": names.get(case.path, known["name"])}):
            given_names = case.path_parameters.keys() & existing.keys()
            case.path_parameters.update({name: existing[name] for name in given_names})
            response = case.call(app=registry, base_url="http://localhost", headers=headers)
            case.validate_response(response, checks=CHECKS)

    found: Any = schemathesis.openapi.from_dict(document()).get_all_operations()
    for operation in found:
        cases = operation.ok().as_strategy()
        # Derandomized: the same requests in each run.
        limits = settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        limits(given(case=cases)(ask))()
