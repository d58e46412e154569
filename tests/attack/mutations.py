"""Remove one check after the other and expect the attacks to notice: `python -m tests.attack.mutations [WORD …]`.

Each mutation is made in a temporary copy of the tree, from which the tests then start their server. WORD picks the
mutations whose names hold it. Exit status 1: a mutation was not noticed, or its text is no longer in the source.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.clients.server import ROOT

IGNORED = shutil.ignore_patterns(".git", ".venv", "__pycache__", "data", "*.svg", "results", "docs")


@dataclass(frozen=True, slots=True)
class Mutation:
    """A check to remove: `old` becomes `new` in `file`; the tests of `module` that `select` picks have to fail."""

    name: str
    file: str
    old: str
    new: str
    module: str
    select: str


def of_tokens() -> Iterator[Mutation]:
    """Yield the checks of tokens."""
    verify, module = "tokens/verify.py", "test_tokens"
    every = '["RS256", "RS384", "RS512", "PS256", "PS512"]'
    yield Mutation(
        "any algorithm of the right key", verify, "algorithms=[key.algorithm]", f"algorithms={every}", module, "RS512"
    )
    for claim, select in (("aud", "service"), ("iss", "somebody"), ("nbf", "nbf"), ("iat", "iat")):
        option = f'"verify_exp": False, "verify_{claim}": False'
        yield Mutation(f"any {claim}", verify, '"verify_exp": False', option, module, f"opens_nothing and {select}")
    types = "if type(claims[name]) is not kind:"
    yield Mutation("claims of any type", verify, types, "if False:", module, "opens_nothing and exp")
    late = "if found.bearer.claims.expires_at + LEEWAY_SECONDS <= now:"
    yield Mutation("expired tokens", verify, late, "if False:", module, "expired or (opens_nothing and exp)")
    yield Mutation("a time before 1970", verify, 'if claims["exp"] < 0:', "if False:", module, "opens_nothing and exp")
    password = "claims.credential != identity.credential_hash[:CREDENTIAL_CHARACTERS]"
    yield Mutation("tokens of an old password", verify, password, "False", module, "changed_password")
    known = "ring.current().by_kid.get(kid) if isinstance(kid, str) else None"
    yield Mutation("any kid", verify, known, "ring.current().active", module, "kid")
    rules = " and actions <= grants.actions_on(\n            self.identity, name, self.version\n        )"
    yield Mutation("claims without rules", verify, rules, "", module, "more_access_than_the_rules")
    scheme = "if kind in REPOSITORY_TYPES and actions:"
    yield Mutation("access of any type", verify, scheme, "if actions:", module, "another_type")
    service = "raise RegistryError(ErrorCode.SERVICE_INVALID, detail, message=detail)"
    yield Mutation("any service", "tokens/query.py", service, "return None", module, "audience")


def of_access() -> Iterator[Mutation]:
    """Yield the checks of access."""
    module, upload = "test_access", "distribution/uploads/sessions.py"
    claims = "actions <= self.claims.actions.get(name, frozenset()) and "
    yield Mutation("rules without claims", "tokens/verify.py", claims, "", module, "token_for_pull or one_repository")
    pulls = " or not bearer.may(parsed, view.actions[method])"
    yield Mutation("pulls by anybody", "registry_project/short_path.py", pulls, "", module, "one_repository or private")
    right = "if source is not None and not self.bearer.may(source, PULL):"
    yield Mutation("mounts from anywhere", "distribution/views/uploads.py", right, "if False:", module, "mount")
    metrics, compared = (
        "registry_project/middleware/metrics.py",
        "hmac.compare_digest(given.strip().encode(), token.encode())",
    )
    yield Mutation("metrics for everybody", metrics, compared, "True", module, "metrics")
    need = '"DELETE": DELETE}'
    for view in ("manifest", "blob"):
        push = need.replace(": DELETE", ": PULL_PUSH")
        yield Mutation(f"push deletes a {view}", f"distribution/views/{view}.py", need, push, module, "does_not_delete")
    owner = " AND upload.account"
    yield Mutation("uploads of others", upload, owner, " OR upload.account", module, "somebody_else or inherited")
    place = "AND repository.name = %s AND"
    yield Mutation("uploads anywhere", upload, place, "AND %s IS NOT NULL AND", module, "of_one_repository")
    link = "(incoming.blobs - links.keys())"
    yield Mutation(
        "blobs of others in a manifest", "distribution/manifests/store.py", link, "set()", module, "take_over"
    )
    for file in ("distribution/uploads/assembly.py", "distribution/uploads/small_blob.py"):
        own = "actual == digest" if "assembly" in file else "actual != digest"
        any_bytes = "True" if "assembly" in file else "False"
        yield Mutation(f"any bytes, {file}", file, f"if {own}:", f"if {any_bytes}:", module, "own_digest")


def of_names() -> Iterator[Mutation]:
    """Yield the grammars."""
    module = "test_names"
    name, digest, tag = "acl/names.py", "distribution/protocol/digest.py", "distribution/protocol/references.py"
    yield Mutation("names by their beginning", name, "_NAME.fullmatch(text)", "_NAME.match(text)", module, "no_name")
    yield Mutation("names of any length", name, "if len(text) > NAME_MAX_CHARACTERS:", "if False:", module, "no_name")
    yield Mutation(
        "digests by their beginning", digest, "_DIGEST.fullmatch(text)", "_DIGEST.match(text)", module, "digest"
    )
    yield Mutation("tags by their beginning", tag, "_TAG.fullmatch(text)", "_TAG.match(text)", module, "no_tag")
    slash = 'if "%2f" in request.META.get("RAW_URI", "").partition("?")[0].lower():'
    yield Mutation("encoded slashes", "distribution/middleware.py", slash, "if False:", module, "no_name")


def of_documents() -> Iterator[Mutation]:
    """Yield the checks of manifests."""
    module, document, manifest = (
        "test_documents",
        "distribution/protocol/strict_json.py",
        "distribution/protocol/manifest_parser.py",
    )
    hostile = "hostile_manifest"
    for what, file, old in (
        ("members twice", document, "if len(found) < len(pairs):"),
        ("an image with manifests", manifest, 'if document.get("manifests") is not None:'),
        ("two media types", manifest, "if declared and written and declared != written:"),
        ("members in other case", manifest, "if known.get(key.casefold(), key) != key:"),
        ("any schema version", manifest, "if type(version) is not int or version != SCHEMA_VERSION:"),
    ):
        yield Mutation(what, file, old, "if False:", module, hostile)
    yield Mutation("NaN", document, 'raise _invalid(f"{text} is not JSON")', "return None", module, hostile)
    yield Mutation("any depth", document, "default=0) > JSON_MAX_DEPTH", "default=0) > 10**9", module, hostile)
    yield Mutation("sizes below zero", manifest, "not 0 <= size <= SIZE_MAX", "not size <= SIZE_MAX", module, hostile)
    yield Mutation(
        "any media type", manifest, "if media_type not in MANIFEST_TYPES:", "if False:", module, "media_type"
    )


def of_passwords() -> Iterator[Mutation]:
    """Yield the checks of passwords."""
    module, proxies = "test_passwords", "registry_project/middleware/proxies.py"
    refused = "if refusal := throttle.refusal(name, request):"
    yield Mutation(
        "guesses without end", "accounts/authentication.py", refused, "if refusal := None:", module, "held_up"
    )
    listed = "is_trusted = bool(self._proxies) and self._is_proxy(peer)"
    yield Mutation("the address that a client claims", proxies, listed, "is_trusted = True", module, "does_not_choose")


def of_browsers() -> Iterator[Mutation]:
    """Yield what keeps a browser from harm."""
    module, base, settings = "test_browser", "core/api/view.py", "registry_project/settings.py"
    yield Mutation("sniffed types", base, '    "X-Content-Type-Options": "nosniff",\n', "", module, "below_v2")
    sandbox = '    "Content-Security-Policy": "default-src \'none\'; sandbox",\n'
    yield Mutation("no sandbox", base, sandbox, "", module, "below_v2")
    listed = "is_trusted = bool(self._proxies) and self._is_proxy(peer)"
    believed = "is_trusted = True"
    yield Mutation(
        "the host that a client claims", "registry_project/middleware/proxies.py", listed, believed, module, "stranger"
    )
    yield Mutation("any host", "core/api/host.py", "if not is_served(text):", "if False:", module, "host_that_is_none")
    headers = '    "registry_project.middleware.browser_headers.browser_headers",\n'
    yield Mutation("scripts in the admin", settings, headers, "", module, "runs_no_script")
    scripts = "SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True"
    yield Mutation("a cookie for scripts", settings, scripts, scripts.replace("True", "False"), module, "cookie")


def of_the_wire() -> Iterator[Mutation]:
    """Yield the checks of requests, those of gunicorn by its own switches."""
    module, connection, heads = "test_wire", "server/connection.py", "server/head/request.py"
    for what, select in (
        ("permit_obsolete_folding", "next"),
        ("strip_header_spaces", "colon"),
        ("permit_unconventional_http_method", "lower"),
    ):
        changed = f'SimpleNamespace(**(values | {{"{what}": True}}),'
        yield Mutation(what, connection, "SimpleNamespace(**values,", changed, module, f"two_ways and {select}")
    yield Mutation("no Host", heads, "        self._check_host()\n", "", module, "two_ways and Host")
    codings = 'if len(codings) != 1 or codings[0].lower() != "chunked":'
    yield Mutation("other codings", heads, codings, "if False:", module, "two_ways and then")
    at_once = "is_continue_due, req._expected_100_continue = req._expected_100_continue, False"
    late = "is_continue_due = req._expected_100_continue"
    yield Mutation("100 Continue at once", "server/worker.py", at_once, late, module, "continued")


def of_resources() -> Iterator[Mutation]:
    """Yield the bounds."""
    module, document = "test_resources", "distribution/protocol/strict_json.py"
    atomic = "fnmatch.translate(pattern)"
    backtracking = f'{atomic}.replace("(?>", "(?:")'
    yield Mutation("patterns that go back", "acl/glob.py", atomic, backtracking, "test_globs", "forty_stars")
    bound = "if len(path) <= REMEMBERED_CHARACTERS else"
    yield Mutation(
        "long paths remembered", "distribution/middleware.py", bound, "if True else", module, "remembered and paths"
    )
    yield Mutation("any number of values", document, "> max_values:", "> 10**9:", "test_documents", "hostile")


def mutations() -> Iterator[Mutation]:
    """Yield all of them."""
    for group in (of_tokens, of_access, of_names, of_documents, of_passwords, of_browsers, of_the_wire, of_resources):
        yield from group()


def tried(tree: Path, mutation: Mutation) -> str:
    """Return what is wrong with a mutation; empty when the tests noticed it."""
    file = tree / mutation.file
    source = file.read_text()
    if mutation.old not in source:
        return f"{mutation.file} does not hold {mutation.old!r}"
    file.write_text(source.replace(mutation.old, mutation.new))
    try:
        tests = [f"tests/attack/{mutation.module}.py", "-k", mutation.select]
        # A folder of its own: in the common one pytest would first remove what other runs have left.
        options = ["-q", "-x", "-p", "no:cacheprovider", f"--basetemp={tree.parent / 'tmp'}"]
        command = [sys.executable, "-m", "pytest", *options, *tests]
        ended = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    finally:
        file.write_text(source)
    # 1: tests ran and some failed. Anything else, as no tests at all, proves nothing.
    if ended.returncode == 1 and "FAILED" in ended.stdout:
        return ""
    return f"pytest ended with {ended.returncode}: {ended.stdout[-600:]}"


def main() -> int:
    """Try the mutations that the command line picks, and return the exit status."""
    words, failures = sys.argv[1:], 0
    with tempfile.TemporaryDirectory(prefix="registry-mutations-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=IGNORED)
        for mutation in mutations():
            if words and not any(word in mutation.name for word in words):
                continue
            wrong = tried(tree, mutation)
            failures += bool(wrong)
            sys.stdout.write(
                f"{'NOT NOTICED' if wrong else 'noticed':<12} {mutation.name}{': ' + wrong if wrong else ''}\n"
            )
            sys.stdout.flush()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
