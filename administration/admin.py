"""The pages that Django's admin discovers."""

from administration import accounts, groups, rules, webhooks

__all__ = ["accounts", "groups", "rules", "webhooks"]
