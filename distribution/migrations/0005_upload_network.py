"""Anonymous uploads are counted by the network that they come from, and not all as one account's."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("distribution", "0004_upload_hash_state"),
    ]

    operations = [
        migrations.AddField(
            model_name="upload",
            name="network",
            field=models.CharField(
                blank=True, db_default="", help_text="of whom an anonymous client is counted with", max_length=45
            ),
        ),
        migrations.AlterField(
            model_name="upload",
            name="account",
            field=models.CharField(blank=True, help_text="empty: anonymous", max_length=128),
        ),
        migrations.AddIndex(
            model_name="upload",
            index=models.Index(fields=["account", "network"], name="distribution_upload_open"),
        ),
    ]
