"""Rename two columns of links and manifests, in place: no row and no index is written anew."""

from django.db import migrations, models
from django.db.migrations.operations.base import Operation

_NAMES = (("used_at", "last_used_at"), ("is_idle", "is_unreferenced"))


def _renamed(model: str) -> list[Operation]:
    """Rename the columns, and let the state alone know that the index has followed them."""
    index = f"distribution_{model}_idle"
    condition = models.Q(is_unreferenced=True)
    return [
        migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveIndex(model, index)]),
        *(migrations.RenameField(model, old, new) for old, new in _NAMES),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddIndex(model, models.Index(fields=["last_used_at", "id"], name=index, condition=condition))
            ]
        ),
    ]


class Migration(migrations.Migration):
    """What the columns say, in their names."""

    dependencies = [("distribution", "0006_upload_account_pk")]

    operations = [*_renamed("link"), *_renamed("manifest")]
