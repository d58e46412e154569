"""Entries of docker_auth as rules with an order: the first that match decide there and here.

A rule can't be for those alone who are not signed in. So their entries stand behind all others, and before these a rule
that holds back everyone signed in. An entry that is about everybody alike stays in its place, if none of theirs comes
before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from acl.actions import ALL, CONCRETE, EVERY, MAX_ORDER
from configuration.values import RuleEntry, SubjectKind, UserEntry
from provisioning.docker_auth import accounts
from provisioning.docker_auth.conditions import Conditions, Meant
from provisioning.docker_auth.document import Document, Entry
from provisioning.docker_auth.patterns import UnsupportedError

STEP = 10
MAX_RULES_OF_ENTRY = 1000
_MAX_COMMENT = 255
_EVERYBODY: tuple[SubjectKind, str] = ("anonymous", "")
_SIGNED_IN: tuple[SubjectKind, str] = ("account", "*")


@dataclass(slots=True)
class Translation:
    """What a file becomes; with nothing in `refused` it is the same as docker_auth allows."""

    users: list[UserEntry] = field(default_factory=list)
    rules: list[RuleEntry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is left out because it has no effect, and what to know."""
    refused: list[str] = field(default_factory=list)


def translate(document: Document, service: str | None = None) -> Translation:
    """Return users and rules; `service` is the name by which the registry asked docker_auth, if an entry needs it."""
    found = Translation()
    found.refused += [f"line {line}: {problem}" for line, problem in sorted(document.problems)]
    users, refused, notes = accounts.accounts(document)
    found.users += users
    found.refused += refused
    found.notes += notes
    _Rules(document, service, found).translate()
    return found


class _Rules:
    """The rules of the entries so far, and who is decided about already."""

    def __init__(self, document: Document, service: str | None, found: Translation) -> None:
        self._entries = document.entries
        self._conditions = Conditions(document, service)
        self._found = found
        self._step = STEP if (2 * len(self._entries) + 1) * STEP <= MAX_ORDER else 1
        self._behind: list[tuple[Entry, Meant]] = []
        self._signed_in_end: int | None = None
        """The number of the entry that decides about everyone signed in who is left."""
        self._nobody_ended = not accounts.has_anonymous(document)

    def translate(self) -> None:
        """Add the rules, notes and refusals of all entries."""
        if (2 * len(self._entries) + 1) * self._step > MAX_ORDER:
            self._found.refused.append(
                f"acl has {len(self._entries)} entries: at most {MAX_ORDER // 2 - 1} can be taken"
            )
            return
        for entry in self._entries:
            try:
                self._translate(entry)
            except UnsupportedError as error:
                self._found.refused.append(f"{_place(entry)}: {error}")
        self._add_behind()

    def _translate(self, entry: Entry) -> None:
        is_over = self._signed_in_end is not None
        if is_over and self._nobody_ended:
            self._found.notes.append(
                f"{_place(entry)} is never reached, and left out: those before it decide about all"
            )
            return
        if reason := self._conditions.other_resource(entry):
            self._found.notes.append(f"{_place(entry)} is left out: {reason}")
            return
        if strange := sorted(set(entry.actions) - set(ALL)):
            self._found.notes.append(
                f"{_place(entry)}: the action {strange[0]!a} is left out, which nothing asks for here"
            )
        signed_in = [] if is_over else self._conditions.signed_in(entry)
        nobody = None if self._nobody_ended else self._conditions.nobody(entry)
        self._conditions.networks(entry)
        if sum(len(each.names) for each in signed_in) > MAX_RULES_OF_ENTRY:
            raise UnsupportedError(f"it stands for more than {MAX_RULES_OF_ENTRY} rules: write several entries")
        if not signed_in and nobody is None:
            self._conditions.require_matches(entry)
            what = "is about nobody who is left, or no repository can have such a name"
            self._found.notes.append(f"{_place(entry)} is left out: it {what}")
            return
        if (
            not self._behind
            and nobody is not None
            and [(m.subject, m.names) for m in signed_in] == [(_SIGNED_IN, nobody.names)]
        ):
            self._add(entry, 0, [Meant(_EVERYBODY, nobody.names)])
        else:
            self._add(entry, 0, signed_in)
            if nobody is not None:
                self._behind.append((entry, nobody))
        if entry.ip is None:
            if any(meant.subject == _SIGNED_IN and "*" in meant.names for meant in signed_in):
                self._signed_in_end = entry.number
            self._nobody_ended |= nobody is not None and "*" in nobody.names

    def _add_behind(self) -> None:
        if not self._behind:
            return
        first, end = self._behind[0][0], self._signed_in_end
        offset = len(self._entries) + 1
        if end is not None and end < first.number:
            offset = 0
        elif end is None:
            comment = "Behind it are the rules for those who are not signed in."
            held = RuleEntry(*_SIGNED_IN, "*", (EVERY,), comment, is_deny=True, order=offset * self._step)
            self._found.rules.append(held)
        for entry, meant in self._behind:
            self._add(entry, offset, [meant])

    def _add(self, entry: Entry, offset: int, meant: list[Meant]) -> None:
        """Add the rules of an entry, all with one order."""
        actions = _actions(entry)
        comment = "".join(c if c.isprintable() else " " for c in f"docker_auth, line {entry.line}: {entry.comment}")
        networks = self._conditions.networks(entry)
        order = (offset + entry.number) * self._step
        for each in meant:
            for name in each.names:
                about = (*each.subject, name, actions or (EVERY,), comment.rstrip(": ")[:_MAX_COMMENT], entry.line)
                self._found.rules.append(RuleEntry(*about, is_deny=not actions, networks=networks, order=order))


def _actions(entry: Entry) -> tuple[str, ...]:
    """Return the concrete actions; only alone does a star stand for all of them."""
    if entry.actions == (EVERY,):
        return (EVERY,)
    return tuple(action for action in ALL if action in entry.actions and action in CONCRETE)


def _place(entry: Entry) -> str:
    comment = f" ({entry.comment})" if entry.comment else ""
    return f"line {entry.line}: entry {entry.number} of acl{comment}"


def not_taken(document: Document) -> Iterator[str]:
    """Yield what to use in place of each other section of the file."""
    for name, line in document.others.items():
        yield f"line {line}: {name} is not taken: {_INSTEAD.get(name, 'no setting of users and rules')}"


_LDAP = "set auth.ldap of config.yaml (docs/login.md)"
_OIDC = "set auth.oidc of config.yaml for people (docs/login.md), with access tokens for docker login"
_OWN = "write a backend of Django, and name it in auth.backends (docs/login.md)"
_RULES_ELSEWHERE = "its rules are elsewhere: write them into a file as acl, and import that too"
_INSTEAD = {
    "server": "set server.addr, and server.trusted_proxies in place of real_ip_header",
    "token": "set auth.issuer, auth.expiration and the key of auth.private_key",
    "ldap_auth": _LDAP,
    "google_auth": _OIDC,
    "github_auth": f"it is no OpenID Connect: put a provider before it that is, as Dex, then {_OIDC}",
    "oidc_auth": _OIDC,
    "gitlab_auth": _OIDC,
    "mongo_auth": "export its users as an htpasswd file, and run `manage.py importusers`",
    "xorm_auth": "export its users as an htpasswd file, and run `manage.py importusers`",
    "ext_auth": _OWN,
    "plugin_authn": _OWN,
    "acl_mongo": _RULES_ELSEWHERE,
    "acl_xorm": _RULES_ELSEWHERE,
    "ext_authz": "a program decides there: write what it allows as rules",
    "plugin_authz": "a program decides there: write what it allows as rules",
    "casbin_authz": "its policy is elsewhere: write it as rules",
}
