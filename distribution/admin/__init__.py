"""What pushes and pulls made, to be looked at; what is deleted here goes through the domain verbs."""

from distribution.admin import blob, manifest, repository, tag, upload

__all__ = ["blob", "manifest", "repository", "tag", "upload"]
