"""A folder of each test's own, as the tests of the configuration have it."""

from tests.configuration.conftest import _in_a_folder_of_its_own

__all__ = ["_in_a_folder_of_its_own"]
