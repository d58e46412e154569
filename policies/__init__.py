"""What holds for repositories by glob, whoever asks: immutable tags and what else is a policy.

`models`    a table for each kind: a subclass of `Policy`, with its validators, sentence and answers
`kinds`     the list of the kinds: import, export, admin and API are generic over it
`compiled`  the policies of a repository, compiled once per permissions version and process
`globs`     one or more globs in one string, and the columns that have them

A new kind is a model, a line in `kinds`, an entry of the file in `configuration.policies`, a section of the ledger in
`provisioning.models` and a page in the menu.
"""
