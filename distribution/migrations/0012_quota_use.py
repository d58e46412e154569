"""What the repositories of a quota have."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("distribution", "0011_missing_content"),
    ]

    operations = [
        migrations.CreateModel(
            name="QuotaUse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("policy", models.BigIntegerField(help_text="of the quota's row")),
                (
                    "counted",
                    models.CharField(
                        db_collation="BINARY", help_text="a name, a prefix with /; empty: all", max_length=255
                    ),
                ),
                ("definition", models.TextField(help_text="what the quota counted when they were added up")),
                ("bytes", models.BigIntegerField(help_text="of blobs, each once")),
                ("tags", models.BigIntegerField()),
                ("due_at", models.DateTimeField(help_text="when they are added up again")),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("policy", "counted"), name="distribution_quota_use_once")
                ],
            },
        ),
    ]
