"""The keys that sign and verify tokens.

`ring`         the current keys of the configuration; a rotation applies to the next token
`folder`       the files of the active, next and retiring keys
`signing_key`  one key: its `kid`, JWK and algorithm
"""
