"""Proxies: checked by the admin's form; a password is only ever taken."""
