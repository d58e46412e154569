"""Import users, rules, policies and proxies of the configuration file, and keep changes made in the admin.

The ledger (`ImportedEntry`) stores a fingerprint of each entry. An entry is applied only after it has changed in the
file, so rows that an administrator has edited, deleted or added stay as they are.
"""

from itertools import chain
from typing import Any

from django.db import transaction

from audit.kinds import Kind
from audit.recording import record_now
from configuration import Configuration, ConfigurationError
from core.db import setup
from policies.kinds import KINDS
from provisioning.outcome import Outcome
from provisioning.policies import Policies
from provisioning.precedence import File, described
from provisioning.proxies import Proxies
from provisioning.rules import Rules
from provisioning.section_import import SectionImport
from provisioning.users import Users


def apply(configuration: Configuration, *, is_forced: bool = False) -> Outcome:
    """Import users and rules in one transaction; return the outcome.

    A section that is missing in the file is not changed. Nothing is when another replica's file is newer, unless
    `is_forced`. Concurrent imports are serialized. Raises ConfigurationError for an entry with the name of an account
    made in the admin.
    """
    file = File.of(configuration)
    with transaction.atomic():
        setup.lock_until_commit()
        newer = file.superseding() if file is not None and not is_forced else None
        if file is not None and newer is not None:
            return Outcome((), superseded=file.superseded(newer))
        steps = tuple(chain.from_iterable([section.apply() for section in _sections(configuration)]))
        replaced = file.record() if file is not None else None
        outcome = Outcome(steps, described(replaced) if replaced is not None else "")
        if not outcome.is_applied_already:
            detail = "; ".join([outcome.summary(), *map(str, steps)])
            # A start imports before it forks its workers, and may have no thread.
            record_now(Kind.IMPORT, credential="file", reference=str(configuration.path), detail=detail)
        return outcome


def compare(configuration: Configuration) -> Outcome:
    """Return the steps of `apply` and the rows edited since, without a change. Raises ConfigurationError."""
    sections = _sections(configuration)
    file = File.of(configuration)
    newer = file.superseding() if file is not None else None
    superseded = file.superseded(newer) if file is not None and newer is not None else ""
    steps = tuple(chain.from_iterable([*section.steps(), *section.edited()] for section in sections))
    return Outcome(steps, superseded=superseded)


def _sections(configuration: Configuration) -> list[SectionImport[Any, Any]]:
    """Return the sections of the file, users first. Raises ConfigurationError."""
    sections: list[SectionImport[Any, Any]] = []
    if configuration.users is not None:
        sections.append(Users(configuration))
    if configuration.acl is not None:
        sections.append(Rules(configuration))
    sections += [Policies(configuration, kind) for kind in KINDS if kind.kind in configuration.policies]
    if configuration.proxies is not None:
        sections.append(Proxies(configuration))
    problems = [problem for section in sections for problem in section.problems()]
    if problems:
        raise ConfigurationError(problems)
    return sections
