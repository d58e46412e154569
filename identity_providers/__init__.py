"""Company login: people whose passwords are elsewhere, and their accounts here.

ldap        a directory: looks people up, checks their passwords, follows their groups
oidc        an OpenID provider, by which people sign in to the pages
adoption    the account of a person: made at the first login, kept as the provider has it, never taken over
person      what a provider tells of somebody

`accounts.providers` asks them; it needs none of this.
"""
