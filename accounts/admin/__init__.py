"""The pages of accounts and groups, and the login."""

from accounts.admin import accounts

__all__ = ["accounts"]
