"""Requests generated from the schema: no fault of the registry, and no status or body that the schema lacks.

A longer run against a server, as an administrator:

    schemathesis run http://127.0.0.1:5000/api/v1/schema --auth admin:PASSWORD --max-examples 200
"""

import os
from typing import Any

import schemathesis
from django.test.client import ClientHandler
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.schema import document
from tests.caller import Caller
from tests.images import push_image

EXAMPLES = int(os.environ.get("REGISTRY_API_EXAMPLES", "4"))
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


def registry(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer as WSGI, through the handler of Django's test client, which leaves the test its connection."""
    response = ClientHandler(enforce_csrf_checks=False)(environ)
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return [response.content]


def test_no_request_has_an_answer_that_the_schema_lacks(alice: Caller, root: Caller) -> None:
    push_image(alice, "alice/app", "v1")
    headers = {"Authorization": root.basic}

    def ask(case: Any) -> None:
        response = case.call(app=registry, base_url="http://localhost", headers=headers)
        case.validate_response(response, checks=CHECKS)

    for operation in schemathesis.openapi.from_dict(document()).get_all_operations():
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
