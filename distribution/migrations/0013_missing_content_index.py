"""The index of the manifests of a proxy that miss something, made while others read and write."""

from typing import Any

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class AddIndexBesideOthers(migrations.AddIndex):
    """CREATE INDEX, on PostgreSQL concurrently; what an interrupted one has left is removed first."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        is_concurrent = schema_editor.connection.vendor == "postgresql"
        concurrently: dict[str, Any] = {"concurrently": True} if is_concurrent else {}
        schema_editor.execute(f"DROP INDEX {'CONCURRENTLY ' if is_concurrent else ''}IF EXISTS {self.index.name}")
        schema_editor.add_index(to_state.apps.get_model(app_label, self.model_name), self.index, **concurrently)


class Migration(migrations.Migration):
    # CREATE INDEX CONCURRENTLY can't be part of a transaction.
    atomic = False

    dependencies = [
        ("distribution", "0012_quota_use"),
    ]

    operations = [
        AddIndexBesideOthers(
            model_name="manifest",
            index=models.Index(
                condition=models.Q(("missing__isnull", False)), fields=["repository"], name="distribution_incomplete"
            ),
        ),
    ]
