"""The space that the registry took, day by day."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("distribution", "0009_history_and_use"),
    ]

    operations = [
        migrations.CreateModel(
            name="DailyStorage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(unique=True)),
                ("stored_bytes", models.BigIntegerField(help_text="of all blobs, each once")),
                ("blobs", models.BigIntegerField()),
                ("linked_bytes", models.BigIntegerField(help_text="of the blobs of each repository, added up")),
                (
                    "free_bytes",
                    models.BigIntegerField(help_text="of the disk of the storage; empty: it has none", null=True),
                ),
                ("seen_at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
            },
        ),
    ]
