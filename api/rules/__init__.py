"""Access rules: checked by the admin's form."""
