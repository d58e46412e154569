"""The export of accounts, groups and rules."""
