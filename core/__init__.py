"""What every other package may use, and what knows of no account, rule, token or blob.

`db`            statements, transactions, the group commit of SQLite, the pool of PostgreSQL
`api`           the error table, the base view, request bodies, the Host of a request
`admin`         what the pages of all apps share
`blocking`      tells the server that a thread is about to wait
`caches`        values kept for a while, or until rights change
`private_files`, `lock_file`    files for secrets, and for locks between processes
`json_log`, `stderr`            the log
`failpoints`    where a test may kill the process or fail the disk
"""
