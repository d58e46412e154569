"""Import accounts and rules of `config.yaml` and of other servers' files, and keep changes made in the admin.

`importing`       applies the file, or compares it with the database
`sections`        users, rules, policies, proxies, webhooks: what each adds, changes and removes since its last import
`ledger`          the origin of rows, and the way back to the file
`precedence`      the newest of several replicas' files, which is imported
`models`          the ledger: each entry with the fingerprint of its last import
`export`          accounts and rules as such a file
`idle_rules`      warns of rules without effect
`docker_auth`     users and rules of docker_auth: `manage.py importrules`
`htpasswd`        users of an htpasswd file: `manage.py importusers`
`accounts`        an account with the hash of such a file
"""
