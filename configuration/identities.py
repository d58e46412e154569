"""Who may log in: persons, robots and workloads of trusted issuers; and other registries that trust the tokens."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator
from typing_extensions import TypedDict

from accounts.names import ACCOUNT_NAME
from acl.glob import InvalidPatternError, check_glob
from configuration import converters as read
from configuration.element import REFUSED, Items, Members, Reading, Refused, quoted
from configuration.section import Key, Section

_USERS = "a mapping of names to users, {} for no users, or no key `users` to keep them in the admin only"
_USER_NAME = "a name of at most 128 letters, digits and . _ @ + $ -, with a letter or digit first"
_ROBOT = "true, or no such key"
_NOT_OF_ROBOTS = ("password", "superuser", "staff")


class User(TypedDict, total=False):
    """An account."""

    password: Annotated[str, read.PASSWORD, Key("A bcrypt hash.", is_secret=True)]
    robot: Annotated[
        bool, read.constant(only=True, expected=_ROBOT), Key("A machine: no password, access tokens alone.")
    ]
    owner: Annotated[str, read.GROUP, Key("The group whose members manage the tokens of the robot.")]
    superuser: Annotated[bool, read.BOOLEAN, Key("Whether everything in the admin is allowed.")]
    staff: Annotated[bool, read.BOOLEAN, Key("Whether the admin may be opened.")]
    groups: Annotated[tuple[str, ...], read.GROUPS, Key("Groups, for rules about a group.")]
    active: Annotated[bool, read.BOOLEAN, Key("Whether the account may log in.")]


def check_user(user: Members) -> None:
    """Report a person without a password, and a robot with one or with rights in the admin."""
    if "robot" not in user:
        if "password" not in user:
            user.element.below("password").report(read.PASSWORD_EXPECTED, "nothing")
        if "owner" in user:
            user.elements["owner"].report("`robot: true` beside it, or no such key")
        return
    for key in _NOT_OF_ROBOTS:
        if key in user:
            user.elements[key].report("no such key: a robot has no password, and does not administer")
    if "owner" not in user:
        user.element.below("owner").report("the name of the group whose members manage the robot", "nothing")


def check_users(given: Any) -> Any:
    """Return the section; report names that no account can have. Raises Refused."""
    if given is not REFUSED and not isinstance(given, Members):
        raise Refused(_USERS, kind="mapping")
    for name, element in given.elements.items() if isinstance(given, Members) else ():
        if ACCOUNT_NAME.fullmatch(name) is None:
            element.report(_USER_NAME, quoted(name))
    return given


_ISSUER = "the issuer of the tokens: the claim iss, as it is there"
_AUDIENCE = "the audience that tokens for this registry have: the claim aud"
_ISSUERS = "a list of issuers"
_MAPPING = "a list of at least one mapping, each with `when` and `account` or `group`"
_CLAIMS = 'a mapping of claims to patterns, as {repository: "myorg/app"}; at least one is not only *'
_KEYS_URL = 'a URL as "https://issuer.example.org/keys"'
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with a public key alone: with HMAC, whoever has the public keys could sign."""


def _claims(given: Any, _reading: Reading) -> tuple[tuple[str, str], ...]:
    """Return pairs of a claim and a pattern."""
    if not isinstance(given, Members) or not given:
        raise Refused(_CLAIMS)
    for name, pattern in given.items():
        if pattern is REFUSED:
            continue
        if not isinstance(pattern, str):
            given.elements[name].refuse(Refused("a string or a pattern", kind="text"))
            continue
        try:
            check_glob(pattern)
        except InvalidPatternError as error:
            given.elements[name].report(f"a string or a pattern ({error})")
    if all(set(str(pattern)) <= {"*", "?"} for pattern in given.values()):
        raise Refused(_CLAIMS, "patterns that every token of the issuer matches")
    return tuple(given.items())


def _list(expected: str) -> BeforeValidator:
    def read_list(given: Any) -> Any:
        if given is not REFUSED and not (isinstance(given, Items) and given):
            raise Refused(expected)
        return given

    return BeforeValidator(read_list)


CLAIMS = read.Value(_claims, {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1})


def _check_mapping(mapping: Members) -> None:
    given = [name for name in ("account", "group") if name in mapping]
    if len(given) != 1:
        mapping.element.report("one of account and group", " and ".join(given) or "none of them")


@dataclass(frozen=True, slots=True)
class ClaimMapping:
    """What a token becomes whose claims match all patterns of `when`: an account, or a member of a group."""

    when: Annotated[tuple[tuple[str, str], ...], CLAIMS, Key("Claims and their patterns.", required=_CLAIMS)]
    account: Annotated[str | None, read.text(_USER_NAME, ACCOUNT_NAME.pattern), Key("An account, as a robot.")] = None
    group: Annotated[str | None, read.GROUP, Key("The only group of a workload without an account.")] = None


def _check_issuer(issuer: Members) -> None:
    if "jwks_file" in issuer and "jwks_url" in issuer:
        issuer.elements["jwks_url"].report("no such key: jwks_file has the keys")
    elif isinstance(issuer.get("jwks_url"), str) and not is_https(issuer["jwks_url"]):
        issuer.elements["jwks_url"].report(_KEYS_URL)
    if "jwks_file" in issuer or "jwks_url" in issuer or not isinstance(issuer.get("issuer"), str):
        return
    if not is_https(issuer["issuer"]):
        expected = "an https URL, where its keys are found; otherwise jwks_file or jwks_url beside it"
        issuer.elements["issuer"].report(expected)


def is_https(url: str) -> bool:
    """Tell whether `url` is of https, without a user, a query and a fragment."""
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_complete and not set("?#@").intersection(url)


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An OIDC issuer whose tokens are logins, by the first of its mappings that matches.

    Its keys are in `jwks_file`, at `jwks_url`, or, with both None, where its own document says.
    """

    issuer: Annotated[str, read.text(_ISSUER), Key("The claim iss.", required=_ISSUER)]
    audience: Annotated[str, read.text(_AUDIENCE), Key("The claim aud.", required=_AUDIENCE)]
    mapping: Annotated[
        tuple[Annotated[ClaimMapping, Section(_check_mapping, one_of=("account", "group"))], ...],
        _list(_MAPPING),
        Key("What its tokens become.", required=_MAPPING),
    ]
    jwks_file: Annotated[Path | None, read.PATH, Key("A file with its keys, a JSON Web Key Set.")] = None
    jwks_url: Annotated[str | None, read.text(_KEYS_URL), Key("The URL of its keys.")] = None
    ca_file: Annotated[Path | None, read.PATH, Key("PEM file of the authority that its certificate is of.")] = None
    algorithms: Annotated[
        tuple[str, ...],
        read.items(read.choice(*ALGORITHMS), "a list of algorithms"),
        Key("The signatures that count, of those that fit the key."),
    ] = ("RS256", "ES256")


def _check_issuers(given: Any) -> Any:
    if given is not REFUSED and not isinstance(given, Items):
        raise Refused(_ISSUERS)
    names: list[object] = []
    for issuer in given if isinstance(given, Items) else ():
        if isinstance(issuer, Members) and isinstance(issuer.get("issuer"), str):
            if issuer["issuer"] in names:
                issuer.elements["issuer"].report("each issuer once", f"{quoted(issuer['issuer'])} again")
            names.append(issuer["issuer"])
    return given


TrustedIssuers = Annotated[
    tuple[Annotated[TrustedIssuer, Section(_check_issuer)], ...], BeforeValidator(_check_issuers)
]


KeyName = Literal["thumbprint", "libtrust"]
_SERVICE = "the name of the registry, as auth.token.service has it there"
_SERVICES = "a list of registries"
_REPOSITORY = 'the name of a repository or a pattern as "prod/*"'


@dataclass(frozen=True, slots=True)
class TokenService:
    """Another registry that trusts tokens of this one; its name is their audience.

    Nobody may list its catalog but the members of the group `catalog`, since it lists everything to them.
    """

    name: Annotated[str, read.QUOTED_STRING, Key("Its auth.token.service.", required=_SERVICE)]
    repositories: Annotated[
        tuple[str, ...],
        read.items(read.pattern(r"a-z0-9._/-", _REPOSITORY), "a list of repositories and patterns"),
        Key("The repositories that a token for it may be about."),
    ] = ("*",)
    catalog: Annotated[str | None, read.GROUP, Key("The group whose members may list its catalog.")] = None
    kid: Annotated[
        KeyName, read.choice("thumbprint", "libtrust"), Key("How its tokens name their key: libtrust for version 2.")
    ] = "thumbprint"


def _check_services(given: Any) -> Any:
    if given is not REFUSED and not isinstance(given, Items):
        raise Refused(_SERVICES)
    names: list[object] = []
    for service in given if isinstance(given, Items) else ():
        if isinstance(service, Members) and isinstance(service.get("name"), str):
            if service["name"] in names:
                service.elements["name"].report("each name once", f"{quoted(service['name'])} again")
            names.append(service["name"])
    return given


TokenServices = Annotated[tuple[Annotated[TokenService, Section()], ...], BeforeValidator(_check_services)]
