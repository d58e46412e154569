"""Load Django in a process of its own."""

import os


def load() -> None:
    """Load Django on the configuration that CONFIG_PATH names."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "registry_project.settings"
    import django

    django.setup()
