"""What manifests of a proxy name and the registry does not have yet."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("distribution", "0010_daily_storage"),
    ]

    operations = [
        migrations.AddField(
            model_name="manifest",
            name="missing",
            field=models.TextField(
                blank=True,
                help_text="of a proxy: the digests that it names and that were not pulled yet, separated by spaces",
                null=True,
            ),
        ),
    ]
