"""What rules of docker_auth become decides as docker_auth: by a model of it, over random files and requests."""

import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.identity import Identity
from acl.models import Rule
from acl.networks import canonical
from acl.rules import CompiledRules, compile_rules
from provisioning.docker_auth.document import Document, Entry, User
from provisioning.docker_auth.translation import Translation, translate
from tests.provisioning.docker_auth.model import allowed

# By hand: CASES=10000 pytest tests/provisioning/docker_auth/test_decisions.py
CASES = int(os.environ.get("CASES", "200"))
SERVICE = "registry"
Drawn = tuple[Any, ...]
PEOPLE: dict[str, dict[str, tuple[str, ...]]] = {
    "alice": {"group": ("VIP", "dev"), "project": ("web",)},
    "bob": {"group": ("dev",), "project": ("web", "api")},
    "a.b": {"project": ("a", "b")},
    "Eve": {},
    "dev-1": {"tier": ("x",)},
}
ACCOUNTS = [*PEOPLE, "newcomer", "", "", ""]
NAMES = ["web", "alice", "alice/app", "alice/app/x", "a.b/x", "axb/x", "dev-1", "web/a", "api/a/b", "test-1", "web-x/y"]
NAMES += ["a/b", "a/b/c", "newcomer/z", "app", "bob-x"]
ADDRESSES = ["127.0.0.1", "10.1.2.3", "192.0.2.1", "2001:db8::1"]

account_globs = ["", "*", "?*", "alice", "a*", "[a-b]*", "[^a]*", "dev-?", "\\alice", "a.b", "[", "${account}", "*b*"]
account_expressions = [
    "/.+/",
    "/.*/",
    "/^a/",
    "/^(alice|bob)$/",
    "/^[a-z]+$/",
    "/b/",
    "/^dev-[0-9]$/",
    "/^$/",
    "/^(?:a\\.b)?$/",
    "/^[[:^digit:]]+$/",
    "/^[[:^lower:]]/",
]
name_globs = [
    "*",
    "web",
    "*/*",
    "test-*",
    "a*/?",
    "${account}",
    "${account}/*",
    "${account}*",
    "${account}-?",
    "w[a-f]b/*",
]
name_globs += [
    "${labels:project}/*",
    "${labels:project}-${labels:tier}/*",
    "${labels:group}",
    "${name}",
    "[",
    "?*/a*",
    "*a*b*",
]
name_globs += ["${type}/*", "[^w]*", "*-[x1]", "{labels:tier}/*"]
name_expressions = [
    "/.*/",
    "/^${account}\\/.*$/",
    "/^${account}(-x)?$/",
    "/^a/",
    "/b$/",
    "/^web(\\/.+)?$/",
    "/^[a-z]+\\/[^/]+$/",
]
name_expressions += [
    "/^(alice|bob)\\/app|^test-\\d+$/",
    "/^.{3}$/",
    "/x{1,2}$/",
    "/^[^/]*$/",
    "/${account}/",
    "/a.b/",
    "/^(a|b)+\\//",
    "/[[:^alpha:]]/",
    "/^[^[:^lower:]-]+$/",
    "/^[a[:^word:]]+b?/",
    "/^.{3,60}$/",
    "/^[a-z]{1,1000}$/",
]


def seldom(*values: Any, otherwise: Any = None) -> Any:
    """Draw one of `values` one time in four."""
    return st.sampled_from([otherwise] * 3 * len(values) + list(values))


entries = st.tuples(
    st.one_of(st.none(), st.just(""), st.sampled_from(account_globs), st.sampled_from(account_expressions)),
    st.one_of(st.none(), st.sampled_from(NAMES), st.sampled_from(name_globs), st.sampled_from(name_expressions)),
    seldom("127.0.0.0/8", "10.1.2.3", "2001:db8::/32", "0.0.0.0/0", "10.9.9.9/8"),
    seldom((("group", "VIP"),), (("group", "/dev|VIP/"),), (("group", "d*"), ("project", "api")), otherwise=()),
    seldom("repository", "registry", "/^repo/", "*"),
    seldom(SERVICE, "other", "/reg/"),
    st.sampled_from([("*",), (), ("pull",), ("push", "pull"), ("pull", "*"), ("delete",), ("read",)]),
)


def document(found: list[Drawn], *, has_anonymous: bool) -> Document:
    users = [User(1, name, "hash", tuple(labels.items())) for name, labels in PEOPLE.items()]
    if has_anonymous:
        users.append(User(1, "", None, (("project", ("web",)),)))
    listed = [
        Entry(number, number, actions, "", account, kind, name, ip, service, labels)
        for number, (account, name, ip, labels, kind, service, actions) in enumerate(found, 1)
    ]
    return Document(users, listed)


def compiled(translation: Translation) -> CompiledRules:
    """Return the rules as the database has them."""
    rows = [
        Rule(
            subject_kind=rule.subject_kind,
            subject=rule.subject,
            name=rule.name,
            actions=",".join(rule.actions),
            is_deny=rule.is_deny,
            networks=canonical(rule.networks),
            order=rule.order,
            comment=rule.comment,
        )
        for rule in translation.rules
    ]
    for row in rows:
        row.full_clean()
    return compile_rules(rows)


def identity(rules: CompiledRules, account: str, address: str) -> Identity:
    networks = rules.networks_of(address)
    if not account:
        return Identity("", networks=networks)
    groups = [f"{label}={value}" for label, values in PEOPLE.get(account, {}).items() for value in values]
    return Identity(account, frozenset(groups), networks=networks)


@settings(deadline=None, max_examples=CASES)
@given(st.lists(entries, min_size=1, max_size=6), st.booleans(), st.sampled_from(ACCOUNTS), st.sampled_from(ADDRESSES))
def test_a_file_decides_as_docker_auth(found: list[Drawn], has_anonymous: bool, account: str, address: str) -> None:
    given_file = document(found, has_anonymous=has_anonymous)
    translation = translate(given_file, SERVICE)
    refused = [reason for reason in translation.refused if "bcrypt" not in reason]
    if refused:
        return
    rules = compiled(translation)
    own = rules.of(identity(rules, account, address))

    for name in NAMES:
        assert own.actions_on(name) == allowed(given_file, account, name, address, SERVICE), name
