"""A directory that speaks LDAPv3 (RFC 4511): OpenLDAP, Active Directory, FreeIPA, 389.

backend      checks a password at a login
refresher    looks known accounts up again, so that what changed there counts here within the cache time
directory    finds a person and its groups
connection   one connection: TLS, bind, search, with a limit to every wait

`ldap3` is used in `connection` alone. It is pure Python, so that the registry needs no compiler; python-ldap has no
wheels.
"""
