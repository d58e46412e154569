"""The pages that Django's admin discovers."""

from administration import accounts, groups, policies, proxies, rules, webhooks

__all__ = ["accounts", "groups", "policies", "proxies", "rules", "webhooks"]
