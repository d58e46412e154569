"""Administrators' pages that need several apps: accounts, groups, rules, policies and the menu.

`accounts`, `groups`, `rules`, `policies`, `proxies`, `webhooks`   the pages
`preview`    what a rule does now: its sentence, warnings, accounts and repositories
`previewed`  pages that show such a thing while somebody edits the row
`explain`    why an account may do something, or not
`origin`     whether a row is of the configuration file, and the way back to it
`naming`     the rules that name an account or group
`menu`       the menu of the admin
"""
