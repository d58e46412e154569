"""Objects that no row needs any more wait here until nobody can be reading them."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models.functions import Now

from distribution.models import Trash

# At least as long as a redirect to the storage is valid.
DELAY = timedelta(minutes=15)


def put(keys: Iterable[str]) -> None:
    """Let the objects under `keys` be deleted after DELAY; a key that waits already goes on waiting."""
    Trash.objects.bulk_create([Trash(key=key, delete_after=Now() + DELAY) for key in keys], ignore_conflicts=True)
