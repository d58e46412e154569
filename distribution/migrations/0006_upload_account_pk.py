"""An upload belongs to the row of an account: another one of the same name does not go on with it."""

from django.db import migrations, models

# A session whose account is gone, or was never one, is nobody's: 0 would be everybody's who is anonymous.
_FILL = """
UPDATE distribution_upload SET account_pk = COALESCE(
    (SELECT account.id FROM accounts_account account WHERE account.name = distribution_upload.account), -1
) WHERE account <> ''
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("distribution", "0005_upload_network"),
    ]

    operations = [
        migrations.AddField(
            model_name="upload",
            name="account_pk",
            field=models.BigIntegerField(db_default=0, default=0, help_text="of the account's row; 0: anonymous"),
        ),
        migrations.RemoveIndex(model_name="upload", name="distribution_upload_open"),
        migrations.AddIndex(
            model_name="upload",
            index=models.Index(fields=["account_pk", "network"], name="distribution_upload_open"),
        ),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
    ]
