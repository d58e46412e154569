"""The keys that sign and verify tokens.

`ring`         the current keys of the configuration; a rotation applies to the next token
`stored`       the same keys in the database, encrypted
`fingerprints` refuses a process whose keys are not those of its database
`folder`       the files of the active, next and retiring keys
`signing_key`  one key: its `kid`, JWK and algorithm
"""
