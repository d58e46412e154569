"""The history of tags, who pushed, when it was pulled, and how often."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("distribution", "0008_registry_id"),
    ]

    operations = [
        migrations.AddField(
            model_name="manifest",
            name="pulled_at",
            field=models.DateTimeField(
                blank=True, help_text="written with a delay", null=True, verbose_name="last pull"
            ),
        ),
        migrations.AddField(
            model_name="manifest",
            name="pushed_by",
            field=models.CharField(blank=True, help_text="account; empty: unknown", max_length=128, null=True),
        ),
        migrations.AddField(
            model_name="repository",
            name="description",
            field=models.TextField(blank=True, help_text="Markdown, for the repository's page", null=True),
        ),
        migrations.AddField(
            model_name="repository",
            name="pulled_at",
            field=models.DateTimeField(
                blank=True, help_text="written with a delay", null=True, verbose_name="last pull"
            ),
        ),
        migrations.AddField(
            model_name="repository",
            name="pushed_at",
            field=models.DateTimeField(
                blank=True, help_text="written with a delay", null=True, verbose_name="last push"
            ),
        ),
        migrations.AddField(
            model_name="repository",
            name="size",
            field=models.BigIntegerField(
                blank=True, help_text="bytes of its blobs; empty until they are summed", null=True
            ),
        ),
        migrations.AddField(
            model_name="tag",
            name="pulled_at",
            field=models.DateTimeField(
                blank=True, help_text="written with a delay", null=True, verbose_name="last pull"
            ),
        ),
        migrations.AddField(
            model_name="tag",
            name="pushed_by",
            field=models.CharField(blank=True, help_text="account; empty: unknown", max_length=128, null=True),
        ),
        migrations.CreateModel(
            name="DailyUse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("repository", models.CharField(db_collation="BINARY", max_length=255)),
                ("day", models.DateField()),
                ("pulls", models.BigIntegerField(default=0, help_text="manifests sent to GET")),
                ("pushes", models.BigIntegerField(default=0, help_text="manifests stored by PUT")),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["day"], name="distribution_daily_use_day")],
                "constraints": [
                    models.UniqueConstraint(fields=("repository", "day"), name="distribution_daily_use_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="TagMove",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("repository", models.CharField(db_collation="BINARY", max_length=255)),
                ("tag", models.CharField(db_collation="BINARY", max_length=128)),
                (
                    "old_digest",
                    models.CharField(
                        blank=True, help_text="empty: the tag is new", max_length=140, verbose_name="from"
                    ),
                ),
                (
                    "new_digest",
                    models.CharField(
                        blank=True, help_text="empty: the tag was deleted", max_length=140, verbose_name="to"
                    ),
                ),
                ("account", models.CharField(blank=True, help_text="who did it; empty: anonymous", max_length=128)),
                ("moved_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "verbose_name": "tag move",
                "indexes": [models.Index(fields=["repository", "tag", "id"], name="distribution_tag_history")],
            },
        ),
    ]
