"""Users and rules of the configuration file, brought into the database without taking the admin's work away.

Each entry is remembered (`ImportedEntry`) with a fingerprint, and applied only when the entry itself has
changed: what an administrator edits or deletes meanwhile stays as it is. Rows made in the admin are not
touched.
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
    """Bring users and rules into the database, all or nothing; return what changed.

    A section that the file does not have is left alone. Of two processes at once the second finds nothing to
    do. Raises ConfigurationError when an entry names an account that was made in the admin.
    """
    with transaction.atomic():
        setup.lock_until_commit()
        comparisons = list(_comparisons(configuration))
        _refuse_clashes(comparisons)
        return Outcome(tuple(chain.from_iterable([comparison.apply() for comparison in comparisons])))


def compare(configuration: Configuration) -> Outcome:
    """Return what `apply` would do, and the imported rows that were edited since; change nothing.

    Raises ConfigurationError as `apply` does.
    """
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
