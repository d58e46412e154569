"""Infrastructure for every other package; it knows no account, rule, token or blob.

`db`            statements, transactions, the group commit of SQLite, the pool of PostgreSQL
`api`           the error table, the base view, request bodies, the Host header
`admin`         base classes of the admin pages of all apps
`blocking`      gives a thread's slot of the server to another one during I/O
`caches`        caches by time, or until permissions change
`private_files`, `lock_file`    files for secrets, and for locks between processes
`json_log`, `stderr`            the log
`failpoints`    named steps at which a test kills the process or fails the disk
"""
