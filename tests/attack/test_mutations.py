"""The checks that `make attack-mutations` removes are in the source, so that it finds each of them."""

import pytest

from tests.attack.mutations import Mutation, mutations
from tests.clients.server import ROOT


@pytest.mark.parametrize("mutation", list(mutations()), ids=lambda mutation: mutation.name)
def test_the_check_is_there_to_be_removed(mutation: Mutation) -> None:
    assert mutation.old in (ROOT / mutation.file).read_text()
