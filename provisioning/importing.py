"""Import users and rules of the configuration file, and keep changes made in the admin.

The ledger (`ImportedEntry`) stores a fingerprint of each entry. An entry is applied only after it has changed in the
file, so rows that an administrator has edited, deleted or added stay as they are.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from django.db import transaction

from configuration import Configuration, ConfigurationError
from core.db import setup
from provisioning.comparison import Comparison
from provisioning.outcome import Outcome
from provisioning.rules import Rules
from provisioning.users import Users


def apply(configuration: Configuration) -> Outcome:
    """Import users and rules in one transaction; return the outcome.

    A section that is missing in the file is not changed. Concurrent imports are serialized. Raises ConfigurationError
    for an entry with the name of an account made in the admin.
    """
    with transaction.atomic():
        setup.lock_until_commit()
        comparisons = list(_comparisons(configuration))
        _refuse_clashes(comparisons)
        return Outcome(tuple(chain.from_iterable([comparison.apply() for comparison in comparisons])))


def compare(configuration: Configuration) -> Outcome:
    """Return the steps of `apply` and the rows edited since, without a change. Raises ConfigurationError."""
    comparisons = list(_comparisons(configuration))
    _refuse_clashes(comparisons)
    steps = chain.from_iterable([*comparison.steps(), *comparison.edited()] for comparison in comparisons)
    return Outcome(tuple(steps))


def _comparisons(configuration: Configuration) -> Iterator[Comparison[Any, Any]]:
    if configuration.users is not None:
        yield Comparison(Users(configuration))
    if configuration.acl is not None:
        yield Comparison(Rules(configuration))


def _refuse_clashes(comparisons: Iterable[Comparison[Any, Any]]) -> None:
    problems = list(chain.from_iterable(comparison.problems() for comparison in comparisons))
    if problems:
        raise ConfigurationError(problems)
