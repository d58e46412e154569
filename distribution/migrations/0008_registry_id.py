"""The id of the registry, which its bucket has too."""

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    """A table of one row, made by the next start with a bucket."""

    dependencies = [("distribution", "0007_names_of_columns")]

    operations = [
        migrations.CreateModel(
            name="RegistryId",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("value", models.UUIDField(default=uuid.uuid4)),
            ],
            options={"default_permissions": ()},
        ),
    ]
