"""Constants of the OCI and Docker specifications, and limits of our own where those have none."""

from __future__ import annotations

SCHEMA_VERSION = 2

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_SCHEMA_1_TYPES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
OCTET_STREAM = "application/octet-stream"

OCI_TYPES = frozenset({OCI_MANIFEST, OCI_INDEX})
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
# An allow-list: a manifest is served under its media type, and text/html would run on the admin's origin.
MANIFEST_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)

# Layers that clients fetch from elsewhere: a manifest may name them although the repository lacks them.
NONDISTRIBUTABLE_TYPES = frozenset(
    {
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    }
)

CONTENT_DIGEST_HEADER = "Docker-Content-Digest"
UPLOAD_UUID_HEADER = "Docker-Upload-UUID"
SUBJECT_HEADER = "OCI-Subject"
TAG_HEADER = "OCI-Tag"
FILTERS_APPLIED_HEADER = "OCI-Filters-Applied"

MANIFEST_MAX_BYTES = 4 * 1024 * 1024
MEDIA_TYPE_MAX_CHARACTERS = 255
JSON_MAX_DEPTH = 64
# A little more than 20,000 layers with two annotations each: at worst a fifth of a second to parse.
JSON_MAX_VALUES = 150_000
SIZE_MAX = 2**63 - 1
MAX_CHUNKS = 10_000
PAGE_MAX = 1000
