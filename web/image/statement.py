"""An in-toto statement: what is claimed about which subjects. Of SLSA provenance also builder, source and materials.

Sources: in-toto Attestation Framework v1, "Statement"; SLSA provenance v0.2 and v1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from web.document import list_of, object_of, text_of
from web.image.kinds import predicate_name

LISTED = 200
_BUILDKIT_V0 = "https://mobyproject.org/buildkit@v1#metadata"


@dataclass(frozen=True, slots=True)
class Resource:
    """A subject, or a material: a name or URI, and a digest as `algorithm:encoded`."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement; `facts` are those of a SLSA provenance, `more_materials` those that are not listed."""

    predicate_type: str
    title: str
    subjects: list[Resource]
    facts: list[tuple[str, str]]
    materials: list[Resource]
    more_materials: int
    predicate: dict[str, Any]


def statement_of(document: Mapping[str, Any]) -> Statement | None:
    """Return the statement of a document; None for another document."""
    predicate_type = text_of(document.get("predicateType"))
    if not predicate_type:
        return None
    predicate = object_of(document.get("predicate"))
    build = object_of(predicate.get("buildDefinition"))
    materials = list_of(predicate.get("materials")) or list_of(build.get("resolvedDependencies"))
    return Statement(
        predicate_type,
        predicate_name(predicate_type),
        [_resource(one) for one in list_of(document.get("subject"))[:LISTED]],
        [(name, text) for name, text in _facts(predicate, build) if text],
        [_resource(one) for one in materials[:LISTED]],
        max(len(materials) - LISTED, 0),
        # Cosign before 2.0 wraps the predicate.
        object_of(predicate.get("Data")) or predicate,
    )


def _facts(predicate: Mapping[str, Any], build: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what both versions of a SLSA provenance have, each under its own keys."""
    run, invocation = object_of(predicate.get("runDetails")), object_of(predicate.get("invocation"))
    metadata = object_of(predicate.get("metadata")) or object_of(run.get("metadata"))
    parameters = object_of(build.get("externalParameters"))
    workflow = object_of(parameters.get("workflow"))
    source = object_of(invocation.get("configSource")) or object_of(parameters.get("configSource"))
    buildkit = object_of(metadata.get(_BUILDKIT_V0)) or object_of(metadata.get("buildkit_metadata"))
    vcs = object_of(buildkit.get("vcs"))
    builder = object_of(predicate.get("builder")) or object_of(run.get("builder"))
    yield "Builder", text_of(builder.get("id"))
    yield "Build type", text_of(predicate.get("buildType")) or text_of(build.get("buildType"))
    yield "Source", text_of(vcs.get("source")) or text_of(workflow.get("repository")) or text_of(source.get("uri"))
    yield "Revision", text_of(vcs.get("revision")) or text_of(workflow.get("ref")) or _digest_of(source)
    yield (
        "Entry point",
        text_of(source.get("entryPoint")) or text_of(source.get("path")) or text_of(workflow.get("path")),
    )
    yield "Started", text_of(metadata.get("buildStartedOn")) or text_of(metadata.get("startedOn"))
    yield "Finished", text_of(metadata.get("buildFinishedOn")) or text_of(metadata.get("finishedOn"))


def _resource(value: object) -> Resource:
    entry = object_of(value)
    return Resource(text_of(entry.get("name")) or text_of(entry.get("uri")), _digest_of(entry))


def _digest_of(entry: Mapping[str, Any]) -> str:
    """Return the first digest that a resource has."""
    pairs = object_of(entry.get("digest")).items()
    return next((f"{text_of(key)}:{text_of(value)}" for key, value in pairs if text_of(value)), "")
