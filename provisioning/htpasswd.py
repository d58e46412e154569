"""htpasswd files, as Apache and the registry of distribution have them: bcrypt hashes are taken over as they are."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction

from audit.kinds import Kind
from audit.recording import record_now
from configuration.values import UserEntry
from core.db import setup
from provisioning.accounts import join_groups, name_problem, password_problem, write_account
from provisioning.outcome import Change, Step

MAX_BYTES = 10 * 2**20
_NEW = "it can't be turned into bcrypt without the password: have `htpasswd -B FILE NAME` ask for one"
_FORMS = {"$apr1$": "MD5", "$1$": "MD5", "{SHA}": "SHA-1", "{SSHA}": "SHA-1", "$5$": "SHA-256", "$6$": "SHA-512"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that is not taken, with the reason and what to do."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


def read(text: str) -> Iterator[UserEntry | Refusal]:
    """Yield the user of each line, or why it is refused; blank lines and comments are neither."""
    seen = set()
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        name, colon, password = entry.partition(":")
        if not colon:
            yield Refusal(number, "no colon between a name and a hash")
        elif name in seen:
            yield Refusal(number, f"{name!a} is there twice: leave one of them")
        elif reason := name_problem(name) or _problem(password):
            yield Refusal(number, f"the user {name!a}: {reason}")
        else:
            yield UserEntry(name, password, line=number)
        seen.add(name)


def _problem(password: str) -> str:
    if password.startswith("$2"):
        return password_problem(password)
    form = next((form for start, form in _FORMS.items() if password.startswith(start)), "crypt or plain text")
    return f"its password is {form}, and not bcrypt; {_NEW}"


def write(users: list[UserEntry], place: str, group: str | None, *, replaces: bool) -> list[Step]:
    """Write accounts in one transaction, and return the steps: EDITED for those that are there, and left as they are.

    With `replaces` they get the hash of the file. Raises ValidationError.
    """
    steps = []
    with transaction.atomic():
        setup.lock_until_commit()
        for user in users:
            account, change = write_account(user.name, user.password, replaces=replaces)
            if change is Change.EDITED:
                why = "has another password" if account.has_usable_password() else "has no password of its own"
                steps.append(Step(change, f"user {user.name}", f"is there and {why}, and stays as it is"))
                continue
            if change is not None:
                steps.append(Step(change, f"user {user.name}"))
            if group is not None and (change is not None or replaces):
                steps += [
                    Step(Change.ADDED, f"{user.name} in the group {name}") for name in join_groups(account, [group])
                ]
        if done := [step for step in steps if step.change is not Change.EDITED]:
            detail = "; ".join([f"{len(done)} changes", *map(str, done)])
            record_now(Kind.IMPORT, credential="command", reference=place, detail=detail)
    return steps
