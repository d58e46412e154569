"""The file as pydantic reads it: sections that differ from their values, and problems of several keys together."""

from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from typing_extensions import TypedDict

from acl.actions import MAX_ORDER, wrong_order, wrong_tags
from acl.glob import ACCOUNT, GROUP
from acl.networks import Network
from configuration import converters as read
from configuration import proxies
from configuration.element import REFUSED, Element, Items, Members, Refused, quoted
from configuration.identities import User, check_user, check_users
from configuration.policies import PoliciesFile, entries
from configuration.section import Key, Section, keys
from configuration.values import (
    Admin,
    Audit,
    Auth,
    Configuration,
    Database,
    GarbageCollector,
    Pages,
    Reserve,
    RuleEntry,
    Server,
    Storage,
    StorageBackend,
    SubjectKind,
    UserEntry,
)
from configuration.webhooks import WebhooksFile, webhook_entries
from core.durations import format_duration

_RULES = "a list of rules, [] for no rules, or no key `acl` to keep them in the admin only"
_SUBJECTS: tuple[SubjectKind, ...] = ("account", "group", "anonymous")
_AS_READ = ("admin", "pages", "database", "garbage_collector", "audit", "auth")
_BACKENDS: tuple[StorageBackend, ...] = ("filesystem", "s3")
_COUNTS = (("max_slow_clients", (1, 4096)), ("threads", (2, 1024)))
_COMPRESSED = "compressed blobs would have other digests"
_OVERWRITES = "the registry never writes a key twice"
# Shorter than the trash keeps an object (`distribution.storage.trash`).
MAX_URL_SECONDS = 900
_OBJECT = "it is a Python object, which a file can't hold"
_STREAMS = "the registry streams: no object is kept in memory or in a file"
_NO_WRITER = "blobs can be in filesystem or s3 only; pushes to this cloud have no tested writer yet"
UNSUPPORTED = {
    "querystring_auth": "the URLs of private blobs are always signed",
    "gzip": _COMPRESSED,
    "gzip_content_types": _COMPRESSED,
    "file_overwrite": _OVERWRITES,
    "file_name_charset": "keys are ASCII",
    "max_memory_size": _STREAMS,
    "use_threads": _STREAMS,
    "transfer_config": _OBJECT,
    "client_config": _OBJECT,
}
UNSUPPORTED_CLOUDS = {"gcs": _NO_WRITER, "azure": _NO_WRITER}

_Text = Annotated[str, read.OPTION]
_Secret = Annotated[str, read.SECRET_OPTION, Key(is_secret=True)]
_Boolean = Annotated[bool, read.BOOLEAN]
_Plain = Annotated[Any, read.PLAIN]


def _check_s3(s3: Members) -> None:
    if "custom_domain" in s3 and not ("cloudfront_key_id" in s3 and "cloudfront_key" in s3):
        expected = "cloudfront_key_id and cloudfront_key beside it: the URLs of private blobs are always signed"
        s3.elements["custom_domain"].report(expected)
    if "@" in str(s3.get("endpoint_url", "")):
        # Messages and redirects have the endpoint.
        expected = "a URL without a user, access_key and secret_key beside it"
        s3.elements["endpoint_url"].report(expected, "a URL with one")
    for one, other in (("access_key", "secret_key"), ("secret_key", "access_key")):
        if one in s3 and other not in s3:
            s3.element.below(other).report(f"the one that belongs to {one}", "nothing")


class S3(TypedDict, total=False):
    """The options of `S3Storage` in django-storages 1.14, less those that would break the registry or do nothing."""

    bucket_name: Annotated[str, read.text("the name of a bucket"), Key(required="the name of a bucket")]
    region_name: _Text
    endpoint_url: _Text
    access_key: _Secret
    secret_key: _Secret
    security_token: _Secret
    session_profile: _Text
    location: _Text
    addressing_style: _Text
    signature_version: _Text
    default_acl: _Text
    object_parameters: _Plain
    use_ssl: _Boolean
    verify: _Plain
    proxies: _Plain
    custom_domain: _Text
    url_protocol: _Text
    cloudfront_key_id: _Text
    cloudfront_key: _Secret
    querystring_expire: Annotated[int, read.integer(60, MAX_URL_SECONDS)]


class Filesystem(TypedDict, total=False):
    """A local or mounted folder."""

    rootdirectory: Annotated[str, read.PATH, Key("The folder of the blobs.")]


class StorageFile(TypedDict, total=False):
    """The storage of blobs: either filesystem or s3."""

    filesystem: Annotated[Filesystem, Section(), Key("A folder.")]
    s3: Annotated[S3, Section(_check_s3, unsupported=UNSUPPORTED), Key("Amazon S3, or a storage with its protocol.")]
    redirect: Annotated[bool, read.BOOLEAN, Key("Whether clients download from S3 itself.")]
    public_endpoint: Annotated[str, read.PUBLIC_URL, Key("The endpoint of S3 that clients use.")]
    min_free: Annotated[tuple[int | None, Fraction | None], read.RESERVE, Key("The space to keep free on the disk.")]
    deletion: Annotated[bool, read.BOOLEAN, Key("Whether tags, manifests, blobs and repositories may be deleted.")]
    max_blob_size: Annotated[int, read.BLOB_SIZE, Key("The largest blob that may be pushed.")]
    scrub: Annotated[
        timedelta, read.duration(timedelta(hours=1), "of at least 1h"), Key("The time in which each blob is read once.")
    ]


class Rule(TypedDict, total=False):
    """The actions that an account, a group or everybody may do with some repositories."""

    account: Annotated[str, read.ACCOUNT_PATTERN, Key("An account, or a pattern.")]
    group: Annotated[str, read.GROUP, Key("A group.")]
    anonymous: Annotated[bool, read.constant(only=True, expected="true, or no such key"), Key("Everybody.")]
    name: Annotated[str, read.NAME_PATTERN, Key("The repository, or a pattern.", required=read.NAME_EXPECTED)]
    actions: Annotated[tuple[str, ...], read.ACTIONS, Key("What is allowed.", required=read.ACTIONS_EXPECTED)]
    deny: Annotated[bool, read.BOOLEAN, Key("true: the actions are denied, whatever other rules allow.")]
    tags: Annotated[str, read.TAG_PATTERN, Key("The tags that may be pushed and deleted: one, or a pattern.")]
    networks: Annotated[tuple[Network, ...], read.RULE_NETWORKS, Key("The networks of clients for which it counts.")]
    until: Annotated[datetime, read.UNTIL, Key("The last day, or the time in UTC, at which it counts.")]
    order: Annotated[
        int, read.integer(1, MAX_ORDER), Key("Of the rules with a number, the first that match count alone.")
    ]
    comment: Annotated[str, read.COMMENT, Key("For you.")]


def _check_admin(admin: Members) -> None:
    if "public_url" in admin and "addr" not in admin:
        admin.elements["public_url"].report("no such key: without admin.addr the admin is at server.public_url")
    if admin.get("allowed_networks") == []:
        # The author may mean nobody, and a program that makes the file may have found no network.
        expected = "at least one network; leave the key out for everybody, or set admin.enabled: false"
        admin.elements["allowed_networks"].report(expected, "none")


def _check_auth(auth: Members) -> None:
    method, hmac_secret = auth.get("signing_method", "ecdsa"), auth.element.below("hmac_secret")
    if method == "hmac" and "hmac_secret" not in auth:
        hmac_secret.report(f"{read.HMAC_SECRET_EXPECTED}: signing_method is hmac", "nothing")
    if method != "hmac" and "hmac_secret" in auth:
        hmac_secret.warn(f"not used: signing_method is {method}")
    if method != "hmac" and "public_key" in auth and "private_key" not in auth:
        auth.element.below("private_key").report("a path, since public_key is given", "nothing")
    if method == "hmac" and ("private_key" in auth or "public_key" in auth):
        auth.element.warn("private_key and public_key are not used: signing_method is hmac")
    services = auth.get("services")
    if isinstance(services, Items) and services and method == "hmac":
        auth.elements["services"].report("no such key: signing_method is hmac, which only this registry can check")
    for service in services if isinstance(services, Items) else ():
        if isinstance(service, Members) and service.get("name") == auth.get("service", Auth().service):
            service.elements["name"].report("another name than auth.service, which is this registry")


def _check_storage(storage: Members) -> None:
    chosen = [name for name in _BACKENDS if name in storage]
    if len(chosen) != 1:
        storage.element.report(f"one of {', '.join(_BACKENDS)}", " and ".join(chosen) or "none of them")
    elif "min_free" in storage and chosen != ["filesystem"]:
        warning = f"for a SQLite database only: {chosen[0]} has no disk to keep free"
        storage.element.below("min_free").warn(warning)
    if chosen == ["filesystem"]:
        for key in ("redirect", "public_endpoint"):
            if key in storage:
                storage.element.below(key).warn("not used: the registry itself serves the blobs of a folder")
    elif "public_endpoint" in storage and storage.get("redirect") is False:
        storage.element.below("public_endpoint").warn("not used: redirect is false")


def _check_rule(rule: Members) -> None:
    given = [subject for subject in _SUBJECTS if subject in rule]
    if len(given) != 1:
        found = " and ".join(given) or "none of account, group, anonymous"
        rule.element.report("one of account, group or `anonymous: true`", found)
    for placeholder, lacking in ((ACCOUNT, "account"), (GROUP, "groups")):
        if "anonymous" in rule and placeholder in str(rule.get("name")):
            found = quoted(rule["name"])
            rule.element.below("name").report(f"no {placeholder}: anonymous has no {lacking}", found)
    actions = rule.get("actions")
    if "tags" in rule and isinstance(actions, Items):
        given_actions = [action for action in actions if isinstance(action, str)]
        if wrong := wrong_tags(given_actions, is_deny=rule.get("deny") is True):
            rule.elements["tags"].report(f"no tags: {wrong}")
    if "order" in rule and isinstance(actions, Items):
        given_actions = [action for action in actions if isinstance(action, str)]
        if wrong := wrong_order(given_actions, str(rule.get("tags", "")), is_deny=rule.get("deny") is True):
            rule.elements["order"].report(f"no order: {wrong}")


def _check_server(server: Members) -> None:
    limits = server.get("limits")
    try:
        given = {
            name: read.integer(*bounds).convert(server[name], server.element.reading)
            for name, bounds in _COUNTS
            if name in server
        }
    except Refused:
        return
    if not isinstance(limits, Members):
        return
    counted = Server(**given)
    # A limit of one client above that of all clients has no effect.
    bounds = {
        "transfers_per_client": (counted.max_slow_clients, 4096, "server.max_slow_clients"),
        "connections_per_client": (counted.connections, 100_000, "the connections of a process"),
    }
    for key, (most, maximum, what) in bounds.items():
        if isinstance(limits.get(key), int) and most < limits[key] <= maximum:
            limits.elements[key].report(f"at most {what} ({most})")


def _check_file(file: Members) -> None:
    """Refuse the same port for registry and admin, so that a firewall can tell the two apart by port."""
    server, admin = file.get("server"), file.get("admin")
    if isinstance(server, Members) and isinstance(admin, Members) and "addr" in admin:
        try:
            port = read.PORT.convert(server["addr"], server.element.reading) if "addr" in server else Server().port
            is_same = read.PORT.convert(admin["addr"], admin.element.reading) == port
        except Refused:
            return
        if is_same:
            admin.elements["addr"].report("another port than that of server.addr")


def _check_rules(given: Any) -> Any:
    if given is not REFUSED and not isinstance(given, Items):
        raise Refused(_RULES)
    return given


class File(TypedDict, total=False):
    """The configuration of the registry."""

    server: Annotated[Server, Section(_check_server), Key("Where and how the server listens.", is_always=True)]
    admin: Annotated[Admin, Section(_check_admin), Key("The pages at /admin/.")]
    pages: Annotated[Pages, Section(), Key("The pages for everybody.")]
    users: Annotated[
        dict[str, Annotated[User, Section(check_user, one_of=("password", "password_file", "robot"))]],
        BeforeValidator(check_users),
        Key("Who may log in."),
    ]
    acl: Annotated[
        list[Annotated[Rule, Section(_check_rule, one_of=_SUBJECTS)]],
        BeforeValidator(_check_rules),
        Key("Who may do what."),
    ]
    policies: Annotated[PoliciesFile, Section(), Key("What holds for repositories, whoever asks.")]
    webhooks: Annotated[WebhooksFile, Key("Services that are told of events.")]
    proxies: Annotated[proxies.PROXIES, Key("Repositories that are fetched from other registries.")]
    storage: Annotated[
        StorageFile,
        Section(_check_storage, unsupported=UNSUPPORTED_CLOUDS, one_of=_BACKENDS),
        Key("The storage of blobs."),
    ]
    database: Annotated[Database, Section(), Key("SQLite or PostgreSQL.", is_always=True)]
    garbage_collector: Annotated[GarbageCollector, Section(), Key("Garbage collection.")]
    audit: Annotated[Audit, Section(), Key("What is recorded, and how long it is kept.")]
    auth: Annotated[Auth, Section(_check_auth), Key("The tokens of clients.", is_always=True)]


FILE: TypeAdapter[File] = TypeAdapter(Annotated[File, Section(_check_file)])


def configuration(element: Element, required: str = "") -> Configuration | None:
    """Return the values of the file; None means that it has problems, which are reported.

    One is a missing section `required`.
    """
    root = element.value()
    if required and isinstance(root, Members) and required not in root:
        element.below(required).report("this section", "nothing")
    try:
        file = FILE.validate_python(root, context=element.reading)
    except ValidationError as error:
        _report(error, element, root)
        return None
    if element.reading.problems:
        return None
    storage = _storage(file.get("storage", {}), element.reading.folder / "data")
    server = file["server"]
    if "data_directory" not in root["server"]:
        server = replace(server, data_directory=storage.rootdirectory)
    others: Any = {name: file[name] for name in _AS_READ if name in file}  # type: ignore[literal-required]
    return Configuration(
        path=element.reading.path,
        server=server,
        users=_users(file["users"], root["users"]) if "users" in file else None,
        acl=_rules(file["acl"], root["acl"]) if "acl" in file else None,
        policies=entries(file["policies"], root["policies"]) if "policies" in file else {},
        webhooks=webhook_entries(file["webhooks"], root["webhooks"]) if "webhooks" in file else None,
        proxies=proxies.entries(list(file["proxies"]), root["proxies"]) if "proxies" in file else None,
        storage=storage,
        **others,
    )


def _report(error: ValidationError, root: Element, values: Any) -> None:
    """Report each problem of `error` at its element."""
    # Host and port are one key of the file, so its problem comes twice.
    problems = {problem["loc"]: problem for problem in error.errors(include_url=False)}
    for place, problem in problems.items():
        if problem["input"] is REFUSED:
            continue
        element, value = root, values
        for step in place:
            element, value = value.elements[step], value[step]
        element.refuse(problem["ctx"]["error"])


def _users(users: dict[str, User], members: Members) -> tuple[UserEntry, ...]:
    entries = []
    for name, user in users.items():
        password = user.get("password", "")
        cost = int(password[4:6]) if password else read.WARNED_BELOW_COST
        if cost < read.WARNED_BELOW_COST:
            warning = f"a bcrypt cost of {cost} makes guesses fast; use at least {read.WARNED_BELOW_COST}"
            members[name].elements["password"].warn(warning)
        is_superuser = user.get("superuser", False)
        entries.append(
            UserEntry(
                name=name,
                password=password,
                is_superuser=is_superuser,
                is_staff=is_superuser or user.get("staff", False),
                groups=user.get("groups", ()),
                is_active=user.get("active", True),
                owner=user.get("owner"),
                line=members.elements[name].line,
            )
        )
    return tuple(entries)


def _rules(rules: list[Rule], items: Items) -> tuple[RuleEntry, ...]:
    """Return the rules without duplicates, in the order of the file."""
    entries: dict[tuple[object, ...], RuleEntry] = {}
    for rule, element in zip(rules, items.elements, strict=True):
        kind = next(subject for subject in _SUBJECTS if subject in rule)
        key = (kind, "" if kind == "anonymous" else str(rule[kind]), rule["name"], rule["actions"])
        ends, order = rule.get("until"), rule.get("order")
        conditions = (rule.get("deny", False), rule.get("tags", ""), rule.get("networks", ()), ends)
        first = entries.get((*key, *conditions, order))
        if first is not None:
            element.warn(f"the same as the rule of line {first.line}, and not needed")
        else:
            entry = RuleEntry(*key, rule.get("comment", ""), element.line, *conditions, order=order)
            entries[*key, *conditions, order] = entry
    return tuple(entries.values())


def _storage(file: StorageFile, folder: Path) -> Storage:
    backend: StorageBackend = next((backend for backend in _BACKENDS if backend in file), "filesystem")
    options: Any = file.get(backend, {})
    if backend == "filesystem":
        folder, options = options.get("rootdirectory", folder), {}
    reserve = Reserve(*file["min_free"]) if "min_free" in file else Reserve()
    redirect, endpoint = file.get("redirect", True), file.get("public_endpoint")
    size, scrub, deletion = file.get("max_blob_size"), file.get("scrub"), file.get("deletion", True)
    return Storage(backend, folder, options, reserve, size, scrub, redirect, endpoint, deletion)


class FileSchema(GenerateJsonSchema):
    """The generator of the JSON Schema: it adds the defaults, in the form of the file."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema of the value, with its default if the file could have it."""
        described = self.generate_inner(schema["schema"])
        default = schema.get("default")
        if isinstance(default, timedelta):
            default = format_duration(default)
        types = {bool: "boolean", int: "integer", str: "string"}
        if default != "" and type(default) in types and described.get("type", "string") == types[type(default)]:
            described["default"] = default
        return described


SECRET_OPTIONS = frozenset(name for name, key in keys(S3).items() if key.is_secret)
