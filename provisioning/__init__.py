"""From `config.yaml` to accounts and rules, without taking the admin's work away.

`importing`   applies the file, or compares it with the database
`comparison`  what one section adds, changes and drops, beside the rows of the last import
`users`, `rules`  the two sections that become rows; `target` is what they have in common
`models`      the ledger: each entry with the fingerprint that it was applied with
`idle_rules`  warns of rules that can never matter
"""
