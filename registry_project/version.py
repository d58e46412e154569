"""The version of the registry: `manage.py version`, `/health`, `/metrics` and the package tell this one."""

import os

RELEASE = "0.1.0"
# An image names the commit that it was built from, so that two builds of a release can be told apart.
_revision = os.environ.get("REGISTRY_REVISION", "")[:12]
VERSION = f"{RELEASE}+{_revision}" if _revision else RELEASE
