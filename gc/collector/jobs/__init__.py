"""Periodic work: in the server, or by `manage.py runjobs`.

`due`        does what is due: collection, expiry, scrub
`scrub`      reads stored blobs again, a few at a time
`queue`      runs that somebody asked for in the admin
`scheduler`  the thread in the server
`shutdown`   ends a command between two steps on SIGINT and SIGTERM
"""
