"""The packages of an SBOM: SPDX 2, CycloneDX and Syft's own, as JSON; SPDX 3 is in `spdx3`.

Sources: SPDX 2.3, sections 6 and 7; CycloneDX 1.6, "components"; Syft's JSON schema 16, "artifacts".
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from web.document import list_of, object_of, text_of
from web.image import spdx3

# More packages are not looked at.
MAX_PACKAGES = 20_000
PAGE = 100
# Of each column.
MAX_CHARACTERS = 300
MAX_LICENCES = 10
_NO_LICENCE = ("NOASSERTION", "NONE", "")


@dataclass(frozen=True, slots=True)
class Package:
    """A package; what the SBOM does not say is empty."""

    name: str
    version: str
    licence: str
    type: str

    def has(self, text: str) -> bool:
        """Return whether any column contains the text, which is casefolded."""
        return any(text in column.casefold() for column in (self.name, self.version, self.licence, self.type))


@dataclass(frozen=True, slots=True)
class Sbom:
    """A bill of materials; `is_cut`: it has more than MAX_PACKAGES."""

    format: str
    facts: list[tuple[str, str]]
    packages: list[Package]
    is_cut: bool


def sbom_of(document: Mapping[str, Any]) -> Sbom | None:
    """Return the SBOM of a document; None for another document."""
    if text_of(document.get("spdxVersion")).startswith("SPDX-"):
        return _spdx(document)
    if document.get("bomFormat") == "CycloneDX":
        return _cyclonedx(document)
    if spdx3.is_spdx3(document):
        version, facts, rows = spdx3.packages_of(document)
        return _sbom(version, facts, (_package(*columns[:3], _type_of(columns[3]) or columns[4]) for columns in rows))
    schema = text_of(object_of(document.get("schema")).get("url"))
    made_by = text_of(object_of(document.get("descriptor")).get("name"))
    if isinstance(document.get("artifacts"), list) and (made_by == "syft" or "anchore/syft" in schema):
        return _syft(document)
    return None


def found_in(sbom: Sbom, wanted: str, page: int) -> tuple[list[Package], int, bool]:
    """Return a page, from 1 on, of the packages with the text in a column, their number, and whether more follow."""
    folded = wanted.casefold()
    found = [package for package in sbom.packages if not folded or package.has(folded)]
    start = (page - 1) * PAGE
    return found[start : start + PAGE], len(found), len(found) > start + PAGE


def _spdx(document: Mapping[str, Any]) -> Sbom:
    creation = object_of(document.get("creationInfo"))
    facts = {
        "Document": text_of(document.get("name")),
        "Created": text_of(creation.get("created")),
        "Made by": ", ".join(map(text_of, list_of(creation.get("creators"))[:MAX_LICENCES])),
    }
    rows = (_spdx_package(object_of(entry)) for entry in list_of(document.get("packages")))
    version = text_of(document.get("spdxVersion")).replace("-", " ", 1)
    return _sbom(version, facts, rows)


def _spdx_package(entry: Mapping[str, Any]) -> Package:
    references = map(object_of, list_of(entry.get("externalRefs"))[:50])
    purls = (text_of(one.get("referenceLocator")) for one in references if one.get("referenceType") == "purl")
    licences = (text_of(entry.get(key)) for key in ("licenseConcluded", "licenseDeclared"))
    return _package(
        text_of(entry.get("name")),
        text_of(entry.get("versionInfo")),
        next((licence for licence in licences if licence not in _NO_LICENCE), ""),
        _type_of(next(purls, "")) or text_of(entry.get("primaryPackagePurpose")).lower(),
    )


def _cyclonedx(document: Mapping[str, Any]) -> Sbom:
    metadata = object_of(document.get("metadata"))
    subject = object_of(metadata.get("component"))
    tools = metadata.get("tools")
    made_by = list_of(tools) or list_of(object_of(tools).get("components"))
    facts = {
        "Document": " ".join(filter(None, (text_of(subject.get("name")), text_of(subject.get("version"))))),
        "Created": text_of(metadata.get("timestamp")),
        "Made by": ", ".join(text_of(object_of(tool).get("name")) for tool in made_by[:MAX_LICENCES]),
    }
    rows = map(_component, _components(document))
    return _sbom(f"CycloneDX {text_of(document.get('specVersion'))}".strip(), facts, rows)


def _components(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the components, and those within them."""
    left = deque(list_of(document.get("components")))
    while left:
        entry = object_of(left.popleft())
        yield entry
        left.extendleft(reversed(list_of(entry.get("components"))))


def _component(entry: Mapping[str, Any]) -> Package:
    licences = [object_of(one) for one in list_of(entry.get("licenses"))[:MAX_LICENCES]]
    names = (
        text_of(one.get("expression"))
        or text_of(object_of(one.get("license")).get("id"))
        or text_of(object_of(one.get("license")).get("name"))
        for one in licences
    )
    return _package(
        "/".join(filter(None, (text_of(entry.get("group")), text_of(entry.get("name"))))),
        text_of(entry.get("version")),
        ", ".join(filter(None, names)),
        _type_of(text_of(entry.get("purl"))) or text_of(entry.get("type")),
    )


def _syft(document: Mapping[str, Any]) -> Sbom:
    source, descriptor = object_of(document.get("source")), object_of(document.get("descriptor"))
    facts = {
        "Document": " ".join(filter(None, (text_of(source.get("name")), text_of(source.get("version"))))),
        "Made by": " ".join(filter(None, (text_of(descriptor.get("name")), text_of(descriptor.get("version"))))),
    }
    version = text_of(object_of(document.get("schema")).get("version"))
    return _sbom(f"Syft {version}".strip(), facts, (_artifact(object_of(entry)) for entry in document["artifacts"]))


def _artifact(entry: Mapping[str, Any]) -> Package:
    # Strings, or objects since schema 6.
    licences = (
        text_of(one) or text_of(object_of(one).get("value")) for one in list_of(entry.get("licenses"))[:MAX_LICENCES]
    )
    return _package(
        text_of(entry.get("name")),
        text_of(entry.get("version")),
        ", ".join(filter(None, licences)),
        text_of(entry.get("type")) or _type_of(text_of(entry.get("purl"))),
    )


def _type_of(purl: str) -> str:
    """Return the type of a package URL: "deb" of "pkg:deb/debian/curl@7.88"."""
    scheme, _, rest = purl.partition(":")
    return rest.lstrip("/").partition("/")[0] if scheme == "pkg" else ""


def _package(*columns: str) -> Package:
    return Package(*(column[:MAX_CHARACTERS] for column in columns))


def _sbom(title: str, facts: Mapping[str, str], rows: Iterator[Package]) -> Sbom:
    packages = list(islice(rows, MAX_PACKAGES))
    is_cut = next(rows, None) is not None
    packages.sort(key=lambda package: (package.name, package.version))
    return Sbom(title[:50], [(name, text[:MAX_CHARACTERS]) for name, text in facts.items() if text], packages, is_cut)
