"""The values of `auth.ldap` and `auth.oidc`: identity providers."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from acl.glob import InvalidPatternError, check_glob
from configuration.converters import BOOLEAN, OPTION, PATH, SECRET_OPTION, Value, duration, items, text
from configuration.element import Items, Members, Reading, Refused
from configuration.section import Key, Section

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LDAP_URL = 'a URL as "ldaps://ldap.example.com" or "ldap://ldap.example.com:389"'
_ISSUER = 'the issuer as a URL, as "https://login.example.com/realms/company", without query'
_FILTER = 'a filter in parentheses with %(user)s for the name, as "(uid=%(user)s)"'
_GROUP_FILTER = 'a filter in parentheses with %(dn)s or %(user)s for the member, as "(member=%(dn)s)"'
_BASE = 'a DN as "ou=people,dc=example,dc=com"'
_GLOBS = 'a list of names of groups or patterns of them, as ["registry-*"]'
_ATTRIBUTE = "the name of an attribute"


def _ldap_url(url: str, _reading: Reading) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Refused(_LDAP_URL) from None
    is_server = parts.path in ("", "/") and not set("?#@").intersection(url)
    if parts.scheme not in ("ldap", "ldaps") or not host or not is_server or port == 0:
        raise Refused(_LDAP_URL)
    return url.rstrip("/")


def _ldap_urls(given: Any, reading: Reading) -> tuple[str, ...]:
    """Return the URL, or those of a list."""
    found: tuple[str, ...] = (
        _LDAP_LIST.convert(given, reading) if isinstance(given, Items) else (_ONE_LDAP.convert(given, reading),)
    )
    if not found:
        raise Refused(_LDAP_URLS)
    return found


def _issuer(url: str, _reading: Reading) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise Refused(_ISSUER) from None
    if parts.scheme not in ("http", "https") or not host or set("?#@").intersection(url):
        raise Refused(_ISSUER)
    if parts.scheme == "http" and host not in LOOPBACK:
        raise Refused("an https URL: only a provider on this machine may be without TLS")
    return url


def _filter(expected: str, *placeholders: str) -> object:
    def convert(value: str, _reading: Reading) -> str:
        left = value
        for placeholder in placeholders:
            left = left.replace(placeholder, "")
        if left == value or "%" in left or left.count("(") != left.count(")"):
            raise Refused(expected)
        return value

    return text(expected, r"\(.*\)", 4096, convert)


def _glob(value: str, _reading: Reading) -> str:
    try:
        check_glob(value)
    except InvalidPatternError as error:
        raise Refused(f"{_GLOBS} ({error})") from None
    return value


_ONE_LDAP = text(_LDAP_URL, convert=_ldap_url)
_LDAP_URLS = f"{_LDAP_URL}, or a list of some"
_LDAP_LIST = items(_ONE_LDAP, _LDAP_URLS)
_SERVERS = Value(_ldap_urls, {"anyOf": [_ONE_LDAP.json, _LDAP_LIST.json | {"minItems": 1}]})
_DN = text(_BASE, r"[^=]+=.+", 1024)
_NAME = text(_ATTRIBUTE, r"[A-Za-z][A-Za-z0-9;-]*")
_CLAIM = text("the name of a claim", r"\S+")
_GROUP_NAME = text("the name or DN of a group of the provider", r"\S(?:.*\S)?", 1024)
_MIRRORED = items(text(_GLOBS, r"\S(?:.*\S)?", 150, _glob), _GLOBS)
_SCOPES = items(text("a scope", r"[!#-\[\]-~]+"), 'a list of scopes, as ["openid", "profile"]')


@dataclass(frozen=True, slots=True)
class LdapUsers:
    """Where people are found: `filter` has the name for `%(user)s`; the account is named by the attribute `name`."""

    base: Annotated[str, _DN, Key("Where people are.", required=_BASE)] = ""
    filter: Annotated[str, _filter(_FILTER, "%(user)s"), Key("How a name is found.")] = "(uid=%(user)s)"
    name: Annotated[str, _NAME, Key("The attribute that names the account.")] = "uid"


@dataclass(frozen=True, slots=True)
class LdapGroups:
    """Where groups are found, and which of them become groups here."""

    base: Annotated[str, _DN, Key("Where groups are.", required=_BASE)] = ""
    filter: Annotated[
        str, _filter(_GROUP_FILTER, "%(dn)s", "%(user)s"), Key("How the groups of a member are found.")
    ] = "(member=%(dn)s)"
    name: Annotated[str, _NAME, Key("The attribute that names a group.")] = "cn"
    nested: Annotated[bool, BOOLEAN, Key("Whether groups of groups count.")] = True
    mirror: Annotated[tuple[str, ...], _MIRRORED, Key("The groups that are taken over.")] = ()


def _check_ldap(ldap: Members) -> None:
    if "bind_dn" in ldap and not ldap.get("bind_password"):
        # Servers take a DN without a password for anonymous (RFC 4513, section 5.1.2).
        ldap.element.below("bind_password").report("the password of bind_dn", "nothing")
    given = ldap.get("url")
    urls = [url for url in (given if isinstance(given, Items) else [given]) if isinstance(url, str)]
    plain = [url for url in urls if urlsplit(url).scheme == "ldap"]
    if ldap.get("start_tls") is True:
        if len(plain) < len(urls):
            ldap.elements["start_tls"].report("no such key: ldaps:// has TLS from the beginning")
        return
    if all(urlsplit(url).hostname in LOOPBACK for url in plain):
        return
    if "start_tls" not in ldap:
        expected = "start_tls: true beside it, or ldaps://; start_tls: false sends passwords unencrypted"
        ldap.elements["url"].report(expected, "a URL without TLS")
    elif ldap["start_tls"] is False:
        ldap.elements["start_tls"].warn("passwords are sent to the directory unencrypted")


@dataclass(frozen=True, slots=True)
class Ldap:
    """A directory whose people may log in. `timeout` bounds each of its answers, `cache` how long they count.

    Of several servers in `url` one is asked: the first that answers.
    """

    url: Annotated[tuple[str, ...], _SERVERS, Key("The directory, or its servers.", required=_LDAP_URL)] = ()
    users: Annotated[LdapUsers, Section(), Key("Where people are.", required="where people are: base, filter")] = (
        LdapUsers()
    )
    groups: Annotated[Annotated[LdapGroups, Section()] | None, Key("Where groups are.")] = None
    start_tls: Annotated[bool, BOOLEAN, Key("Whether ldap:// changes to TLS before anything is sent.")] = False
    ca_file: Annotated[Path | None, PATH, Key("PEM file of the authorities that count, in place of the system's.")] = (
        None
    )
    bind_dn: Annotated[str, OPTION, Key("Who searches; without it the search is anonymous.")] = ""
    bind_password: Annotated[
        str,
        SECRET_OPTION,
        Key("Its password.", is_secret=True, environment="REGISTRY_AUTH_LDAP_BIND_PASSWORD"),
    ] = field(default="", repr=False)
    superuser_group: Annotated[str, _GROUP_NAME, Key("Its members are superusers.")] = ""
    staff_group: Annotated[str, _GROUP_NAME, Key("Its members may open the admin.")] = ""
    cache: Annotated[
        timedelta, duration(timedelta(seconds=1), "of 1s to 24h", timedelta(hours=24)), Key("How long answers count.")
    ] = timedelta(minutes=5)
    timeout: Annotated[
        timedelta, duration(timedelta(seconds=1), "of 1s to 1m", timedelta(minutes=1)), Key("The longest wait for it.")
    ] = timedelta(seconds=5)


def _check_oidc(oidc: Members) -> None:
    scopes = oidc.get("scopes")
    if isinstance(scopes, list) and "openid" not in scopes:
        oidc.elements["scopes"].report('"openid" among them')
    for key in ("mirror", "superuser_group", "staff_group"):
        if key in oidc and "groups_claim" not in oidc:
            oidc.elements[key].report("groups_claim beside it: no other claim names groups")


@dataclass(frozen=True, slots=True)
class Oidc:
    """An OpenID provider, by which people sign in to the pages; `session` is how long they stay signed in."""

    issuer: Annotated[str, text(_ISSUER, convert=_issuer), Key("The provider.", required=_ISSUER)] = ""
    client_id: Annotated[str, OPTION, Key("The registry's name there.", required="the registry's name there")] = ""
    client_secret: Annotated[
        str,
        SECRET_OPTION,
        Key("The registry's secret there.", is_secret=True, environment="REGISTRY_AUTH_OIDC_CLIENT_SECRET"),
    ] = field(default="", repr=False)
    scopes: Annotated[tuple[str, ...], _SCOPES, Key("What is asked for.")] = ("openid", "profile", "email")
    name_claim: Annotated[str, _CLAIM, Key("The claim that names the account.")] = "preferred_username"
    groups_claim: Annotated[str, _CLAIM, Key("The claim that lists groups.")] = ""
    mirror: Annotated[tuple[str, ...], _MIRRORED, Key("The groups that are taken over.")] = ()
    superuser_group: Annotated[str, _GROUP_NAME, Key("Its members are superusers.")] = ""
    staff_group: Annotated[str, _GROUP_NAME, Key("Its members may open the admin.")] = ""
    ca_file: Annotated[Path | None, PATH, Key("PEM file of the authorities that count for the provider.")] = None
    session: Annotated[
        timedelta, duration(timedelta(minutes=1), "of at least 1m"), Key("How long a sign-in lasts.")
    ] = timedelta(hours=12)
    button: Annotated[str, text("a short string", max_characters=60), Key("The text of the button.")] = (
        "Sign in with your company"
    )


LDAP_SECTION, OIDC_SECTION = Section(_check_ldap), Section(_check_oidc)
BACKENDS = items(
    text("the dotted path of a class", r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+"),
    'a list of authentication backends of Django, as ["company.login.Backend"]',
)
