"""Access tokens: credentials for machines, which clients use as a password.

secret     the text of a token: prefix, random part, checksum
store      create, redeem, list and revoke
"""
