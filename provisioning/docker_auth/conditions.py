"""What the conditions of an entry mean: for whom, for which repositories, and from where."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_network
from itertools import product
from math import prod

from acl.coverage import matches_some_name
from acl.glob import PATTERN_MAX_CHARACTERS
from acl.networks import Network
from configuration.values import SubjectKind
from provisioning.docker_auth.accounts import group_of
from provisioning.docker_auth.document import Document, Entry, User
from provisioning.docker_auth.expressions import of_expression
from provisioning.docker_auth.patterns import (
    ACCOUNT_ALPHABET,
    ACCOUNT_MARK,
    ANY_ALPHABET,
    NAME_ALPHABET,
    Tokens,
    UnsupportedError,
    filled,
    matches,
    of_glob,
    placeholders,
    quote,
    simplified,
    written,
)

MAX_COMBINATIONS = 1000
_REPOSITORY = "repository"
_LABEL = "labels:"
_MAPPED = IPv6Network("::ffff:0:0/96")
_CIDR = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?")
# Earlier versions of docker_auth do not quote them.
_LABEL_VALUE = re.compile(r"[A-Za-z0-9._/-]*")
_OTHER_PEOPLE = re.compile(r"(?:google|github|oidc|gitlab|ldap|mongo|xorm|ext)_auth|plugin_authn")


@dataclass(frozen=True, slots=True)
class Meant:
    """A subject of rules, and the patterns of names."""

    subject: tuple[SubjectKind, str]
    names: tuple[str, ...]


class Conditions:
    """The conditions of entries, given the users of the file and the name of the registry."""

    def __init__(self, document: Document, service: str | None) -> None:
        self._people = [user for user in document.users if user.name]
        self._nobody = next((user for user in document.users if not user.name), None)
        self._service = service
        self._others = sorted(filter(_OTHER_PEOPLE.fullmatch, document.others))

    def other_resource(self, entry: Entry) -> str:
        """Return why the entry is about no repository of this registry, "" if it may be. Raises UnsupportedError."""
        if entry.type is not None and not self._is(entry.type, _REPOSITORY):
            if self._is(entry.type, "registry"):
                return "the catalog needs no rule here, since it lists to each account what it may pull"
            return f"this registry has no {entry.type!a}"
        if entry.service is not None:
            service = self._known_service()
            if not self._is(entry.service, service):
                return f"it is for the service {entry.service!a}"
        return ""

    def require_matches(self, entry: Entry) -> None:
        """Raise UnsupportedError for a regular expression that matches no name at all: what was it meant to match?"""
        about = self._account(entry) or []
        has_account = any(matches(tokens, "") or _pattern(tokens, ACCOUNT_ALPHABET) for tokens in about)
        if _is_expression(entry.account or "") and not has_account:
            raise UnsupportedError(f"no account's name matches {entry.account}: mend it, or delete the entry")
        if _is_expression(entry.name or "") and not _label_keys(entry) and not self._names(entry, ACCOUNT_MARK, {}):
            raise UnsupportedError(f"no repository's name matches {entry.name}: mend it, or delete the entry")

    def networks(self, entry: Entry) -> tuple[Network, ...]:
        """Return the network of the clients, none for everywhere. Raises UnsupportedError."""
        if entry.ip is None:
            return ()
        try:
            found = ip_network(entry.ip if _CIDR.fullmatch(entry.ip) else "", strict=False)
        except ValueError:
            raise UnsupportedError(
                f"{entry.ip!a} is no address or network, with which docker_auth does not start"
            ) from None
        if isinstance(found, IPv6Network) and found.subnet_of(_MAPPED):
            return (ip_network(f"{found.network_address.ipv4_mapped}/{found.prefixlen - _MAPPED.prefixlen}"),)
        return (found,)

    def signed_in(self, entry: Entry) -> list[Meant]:
        """Return whom who is signed in the entry is about. Raises UnsupportedError."""
        about = self._account(entry)
        if entry.labels or _label_keys(entry):
            return self._by_label(entry, about)
        names = self._names(entry, ACCOUNT_MARK, {})
        patterns = ["*"] if about is None else [_pattern(tokens, ACCOUNT_ALPHABET) for tokens in about]
        if "*" in patterns:
            patterns = ["*"]
        return [Meant(("account", pattern), names) for pattern in dict.fromkeys(patterns) if pattern and names]

    def nobody(self, entry: Entry) -> Meant | None:
        """Return what the entry means for those who are not signed in, None for nothing. Raises UnsupportedError."""
        about = self._account(entry)
        if self._nobody is None or not (about is None or any(matches(tokens, "") for tokens in about)):
            return None
        names: dict[str, None] = {}
        for values in self._values_of(self._nobody, entry):
            names |= dict.fromkeys(self._names(entry, "", values))
        return Meant(("anonymous", ""), ("*",) if "*" in names else tuple(names)) if names else None

    def _account(self, entry: Entry) -> list[Tokens] | None:
        """Return the alternatives of the account; None: anybody, signed in or not."""
        if entry.account is None or entry.account == "${account}":
            return None
        return self._alternatives(entry.account, ACCOUNT_ALPHABET, {})

    def _names(self, entry: Entry, account: str, labels: dict[str, str]) -> tuple[str, ...]:
        """Return the patterns of repositories, without those that no repository can match."""
        if entry.name is None or entry.name == "${name}":
            return ("*",)
        if labels and _is_expression(entry.name):
            raise UnsupportedError("a label within a regular expression: write an entry for each value it has")
        alternatives = self._alternatives(entry.name, NAME_ALPHABET, {"account": account, **labels})
        patterns = [_pattern(tokens, NAME_ALPHABET) for tokens in alternatives]
        found = dict.fromkeys(pattern for pattern in patterns if pattern and matches_some_name(pattern))
        return ("*",) if "*" in found else tuple(found)

    def _alternatives(self, pattern: str, alphabet: frozenset[str], values: dict[str, str]) -> list[Tokens]:
        """Return the tokens of a pattern, none if it matches nothing. Raises UnsupportedError."""
        values = {"type": quote(_REPOSITORY), **values}
        if "service" in placeholders(pattern):
            values["service"] = quote(self._known_service())
        text = filled(pattern, values)
        if _is_expression(text):
            return of_expression(text[1:-1], alphabet)
        tokens = of_glob(text, alphabet)
        return [] if tokens is None else [tokens]

    def _is(self, pattern: str, value: str) -> bool:
        return any(matches(tokens, value) for tokens in self._alternatives(pattern, ANY_ALPHABET, {}))

    def _known_service(self) -> str:
        if self._service is None:
            expected = "name that of this registry, its auth.token.service, by --service"
            raise UnsupportedError(f"it is about a service: {expected}")
        return self._service

    def _by_label(self, entry: Entry, about: list[Tokens] | None) -> list[Meant]:
        """Return rules for groups if one label alone decides, otherwise for each account that it is about."""
        if self._others:
            raise UnsupportedError(
                f"the labels of the people of {self._others[0]} are not in this file: match by account"
            )
        is_by_group = about is None and len(_label_keys(entry)) + len(entry.labels) == 1
        found: dict[tuple[SubjectKind, str], dict[str, None]] = {}
        for user in self._people:
            if about is not None and not any(matches(tokens, user.name) for tokens in about):
                continue
            for values in self._values_of(user, entry):
                names = dict.fromkeys(self._names(entry, ACCOUNT_MARK, values))
                for subject in self._groups(user, entry, values) if is_by_group else [("account", user.name)]:
                    found.setdefault(subject, {}).update(names)  # type: ignore[arg-type]
        return [Meant(subject, tuple(names)) for subject, names in found.items() if names]

    def _values_of(self, user: User, entry: Entry) -> Iterator[dict[str, str]]:
        """Yield the labels in the name of the entry, in each combination that the user has; none without its labels."""
        labels = dict(user.labels)
        for label, pattern in entry.labels:
            if not any(self._is(pattern, _readable(value)) for value in labels.get(label, ())):
                return
        keys = _label_keys(entry)
        if prod(len(labels.get(key, ())) for key in keys) > MAX_COMBINATIONS:
            raise UnsupportedError(f"a user has more than {MAX_COMBINATIONS} combinations of these labels")
        for values in product(*(labels.get(key, ()) for key in keys)):
            if wrong := [value for value in values if _LABEL_VALUE.fullmatch(value) is None]:
                raise UnsupportedError(f"the label {wrong[0]!a} has other characters than letters, digits and . _ / -")
            yield {f"{_LABEL}{key}": value for key, value in zip(keys, values, strict=True)}

    def _groups(self, user: User, entry: Entry, values: dict[str, str]) -> list[tuple[SubjectKind, str]]:
        """Return the groups of the values that decide."""
        found = [(key.removeprefix(_LABEL), value) for key, value in values.items()]
        for label, pattern in entry.labels:
            found += [(label, value) for value in dict(user.labels)[label] if self._is(pattern, value)]
        names = [group_of(label, value) for label, value in found]
        if None in names:
            raise UnsupportedError("no group can be called as one of its labels")
        return [("group", name) for name in names if name is not None]


def _label_keys(entry: Entry) -> list[str]:
    found = [key.removeprefix(_LABEL) for key in placeholders(entry.name or "") if key.startswith(_LABEL)]
    return list(dict.fromkeys(found))


def _readable(value: str) -> str:
    if not set(value) <= ANY_ALPHABET:
        raise UnsupportedError(f"the label {value!a} has other characters than those of ASCII")
    return value


def _is_expression(pattern: str) -> bool:
    return len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/")


def _pattern(tokens: Tokens, alphabet: frozenset[str]) -> str:
    """Return the pattern of a rule, "" if it matches nothing. Raises UnsupportedError."""
    shorter = simplified(tokens, alphabet)
    found = written(shorter, alphabet) if shorter else ""
    if len(found) > PATTERN_MAX_CHARACTERS:
        raise UnsupportedError(f"a pattern of more than {PATTERN_MAX_CHARACTERS} characters: write several entries")
    return found
