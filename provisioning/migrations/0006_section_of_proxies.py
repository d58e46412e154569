from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry_project", "0005_section_of_webhooks"),
    ]

    operations = [
        migrations.AlterField(
            model_name="importedentry",
            name="section",
            field=models.CharField(
                choices=[
                    ("users", "users"),
                    ("acl", "acl"),
                    ("immutable_tags", "policies.immutable_tags"),
                    ("quotas", "policies.quotas"),
                    ("retention", "policies.retention"),
                    ("signatures", "policies.signatures"),
                    ("read_only", "policies.read_only"),
                    ("webhooks", "webhooks"),
                    ("proxies", "proxies"),
                ],
                max_length=16,
            ),
        ),
    ]
