"""Periodic work: in the server, or by `manage.py runjobs`.

`due`        runs the jobs that are due: expiry, collection, scrub
`scrub`      reads stored blobs again, a few at a time
`queue`      runs requested in the admin
`scheduler`  a thread in each worker, which starts a process for them
`shutdown`   stops a command between two steps on SIGTERM
"""
