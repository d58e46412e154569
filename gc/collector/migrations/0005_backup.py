from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("gc", "0004_withdrawn"),
    ]

    operations = [
        migrations.AlterField(
            model_name="lease",
            name="job",
            field=models.CharField(
                choices=[
                    ("collection", "collection"),
                    ("reaping", "reaping"),
                    ("scrubbing", "scrubbing"),
                    ("backup", "backup"),
                ],
                max_length=16,
                primary_key=True,
                serialize=False,
            ),
        ),
    ]
