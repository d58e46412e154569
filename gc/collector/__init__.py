"""Delete what nothing references, beside pushes and pulls.

`runs`          one collection from its lease to its report
`collection`    its steps: `sweep` of manifests, links and blobs, `expiry` of uploads and trash, `repositories`
`batches`       primary keys in order, so many at a time; `throttle` the pace
`policy`        what a run may remove, and from when on
`lease`, `schedule`   which process collects, and when the next run is due
`report`, `history`   what a run did, and the last runs
`dry_run`       what a run would remove
`jobs`          the thread that runs what is due
`fsck`          the database against the storage
"""
