"""Accounts and groups: the same checks as in the admin."""
