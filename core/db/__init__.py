"""The database: statements, transactions and what goes wrong with it.

`statement`          SQL made once, run on the connection itself
`transactions`       runs a transaction again that lost a race; the 503 when all attempts did
`sqlite_writer`      group commit: a file lock orders processes, threads share one transaction
`sqlite_lock`        that file lock, with a limit on the wait
`short_transaction`  one small write that gives up early
`database_fault`     tells a lock conflict from a full disk from a lost connection
`ballast`            the room on the disk that is kept for the database
`sqlite3`, `postgresql`    Django's backends with what this registry changes in them
"""
