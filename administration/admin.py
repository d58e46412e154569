"""The pages that Django's admin discovers."""

from administration import accounts, groups, rules

__all__ = ["accounts", "groups", "rules"]
