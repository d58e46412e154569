"""Who did what, when, from where and with what credential: rows that can be searched; the log has everything anyway.

`kinds`      the kinds of events
`models`     the table, whose keys are times
`recording`  a call of any package ──> a bounded queue ──> one thread of the process ──> rows in batches
`changes`    what the admin adds, changes and deletes
`queries`    search, newest first, by pages of keys; removal of old rows
`export`     CSV and JSON lines
"""
