"""The keys that sign and verify tokens.

`ring`         the keys in force now, as the configuration names them; a rotation counts at the next token
`folder`       the active, next and retiring key files beside each other
`signing_key`  one key: its `kid`, its JWK, how it signs
"""
