"""The packages of an SPDX 3 document: a JSON-LD graph, whose elements name each other by `spdxId`.

    SpdxDocument, software_Sbom      name, creationInfo
    software_Package                 name, software_packageVersion, software_packageUrl, software_primaryPurpose
    Relationship                     from a package, hasConcludedLicense or hasDeclaredLicense, to licences
    simplelicensing_LicenseExpression, expandedlicensing_…     the licences

The context is never fetched: members have the names that the specification gives them. Each element is looked at once,
and a relationship leads to an element and no further, so circles do no harm. Source: SPDX 3.0.1, Core and Software.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from web.document import list_of, object_of, text_of

_CONTEXT = "https://spdx.org/rdf/3."
_DOCUMENTS = ("SpdxDocument", "software_Sbom")
_PACKAGES = ("software_Package", "ai_AIPackage", "dataset_DatasetPackage")
_CONCLUDED, _DECLARED = "hasConcludedLicense", "hasDeclaredLicense"
_NO_LICENCE = ("NOASSERTION", "NONE", "")
# Of a relationship or a list of creators; more are not looked at.
MAX_TARGETS = 10

Columns = tuple[str, str, str, str, str]
"""Name, version, licence, package URL, purpose."""


class Graph(NamedTuple):
    """The elements of a document: packages, and by their ids what packages refer to."""

    packages: list[Mapping[str, Any]]
    names: dict[str, str]
    licences: dict[str, dict[str, object]]
    documents: list[Mapping[str, Any]]
    creation: Mapping[str, Any]


def is_spdx3(document: Mapping[str, Any]) -> bool:
    """Return whether a document says that it is SPDX 3."""
    context = document.get("@context")
    first = next(iter(list_of(context)), context)
    return isinstance(document.get("@graph"), list) and text_of(first).startswith(_CONTEXT)


def packages_of(document: Mapping[str, Any]) -> tuple[str, dict[str, str], Iterator[Columns]]:
    """Return the format, what the document says of itself, and its packages."""
    graph = _graph(document)
    version = text_of(graph.creation.get("specVersion")) or "3"
    shown = next((text for one in graph.documents if (text := text_of(one.get("name")))), "")
    made_by = (graph.names.get(text_of(one), "") for one in list_of(graph.creation.get("createdBy"))[:MAX_TARGETS])
    facts = {
        "Document": shown,
        "Created": text_of(graph.creation.get("created")),
        "Made by": ", ".join(filter(None, made_by)),
    }
    return f"SPDX {version}", facts, (_columns(package, graph) for package in graph.packages)


def _graph(document: Mapping[str, Any]) -> Graph:
    graph = Graph([], {}, {}, [], {})
    creation: Mapping[str, Any] = {}
    relations: list[Mapping[str, Any]] = []
    for element in map(object_of, document["@graph"]):
        kind = text_of(element.get("type")) or text_of(element.get("@type"))
        if kind in _PACKAGES:
            graph.packages.append(element)
        elif kind == "Relationship" and element.get("relationshipType") in (_CONCLUDED, _DECLARED):
            relations.append(element)
        elif kind in _DOCUMENTS:
            graph.documents.append(element)
        elif kind == "CreationInfo":
            creation = creation or element
        else:
            licence = text_of(element.get("simplelicensing_licenseExpression"))
            graph.names[text_of(element.get("spdxId"))] = licence or text_of(element.get("name"))
    # Only the ids: thousands of relationships may name one long licence.
    for relation in relations:
        of_package = graph.licences.setdefault(text_of(relation.get("from")), {})
        of_package.setdefault(text_of(relation.get("relationshipType")), relation.get("to"))
    # A document may have it as a member, not as an element.
    inline = (found for one in graph.documents if (found := object_of(one.get("creationInfo"))))
    return graph._replace(creation=creation or next(inline, {}))


def _licences(targets: object, graph: Graph) -> str:
    found = (_licence(target, graph.names) for target in list_of(targets)[:MAX_TARGETS])
    return ", ".join(licence for licence in found if licence not in _NO_LICENCE)


def _licence(target: object, names: Mapping[str, str]) -> str:
    """Return the licence that a relationship names; one of SPDX's list has its identifier as the end of its address."""
    address = text_of(target)
    known = names.get(address)
    if known is not None:
        return known
    return address.rpartition("/")[2] if address.startswith(("https://spdx.org/", "http://spdx.org/")) else address


def _columns(package: Mapping[str, Any], graph: Graph) -> Columns:
    licences = graph.licences.get(text_of(package.get("spdxId")), {})
    return (
        text_of(package.get("name")),
        text_of(package.get("software_packageVersion")),
        _licences(licences.get(_CONCLUDED), graph) or _licences(licences.get(_DECLARED), graph),
        text_of(package.get("software_packageUrl")) or _purl(package),
        text_of(package.get("software_primaryPurpose")).lower(),
    )


def _purl(package: Mapping[str, Any]) -> str:
    identifiers = map(object_of, list_of(package.get("externalIdentifier"))[:MAX_TARGETS])
    purls = (text_of(one.get("identifier")) for one in identifiers if one.get("externalIdentifierType") == "packageUrl")
    return next(purls, "")
