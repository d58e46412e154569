"""What tests of several pages use."""

from tests.audit.conftest import queue, written  # noqa: F401 - fixtures
