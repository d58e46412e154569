from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry_project", "0004_sections_of_policies"),
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
                    ("proxies", "proxies"),
                ],
                max_length=16,
            ),
        ),
    ]
