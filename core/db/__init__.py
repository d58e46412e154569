"""The database: statements, transactions and faults.

`statement`          raw SQL, translated once, run without Django's cursor
`transactions`       retries a transaction that lost a race; returns connections to the pool
`sqlite_writer`      group commit: a file lock orders processes, threads share one transaction
`sqlite_lock`        that file lock, with a timeout
`short_transaction`  a transaction with a short lock timeout
`database_fault`     classifies errors: lock conflict, full disk, lost connection
`ballast`            a file that reserves disk space for SQLite
`other_sessions`     finds other processes of the registry that use the database
`sealing`            encrypts secrets that are stored in columns
`setup`, `clock`     migrations at start; the database's time
`sqlite3`, `postgresql`    subclasses of Django's backends
"""
