"""The comparison needs the other registry, which is a client program to these tests: missing, it is treated as one."""

from tests.clients import conftest as clients

pytest_runtest_setup = clients.pytest_runtest_setup
