"""Garbage collection: delete what nothing references, beside pushes and pulls.

`runs`          one run from lease to report; the last runs stay as rows
`collection`    its steps: `sweep` of manifests, links and blobs, `expiry` of uploads and trash, `repositories`
`batches`       keyset pagination over due rows; `throttle` pauses between them
`policy`        what a run may remove, and after which grace period
`lease`, `schedule`   which process runs, and when the next run is due
`report`        what a run removed
`dry_run`       what a run would remove; `plan` applies that, except what is excluded
`jobs`          the thread and process for periodic work
`fsck`          compares database and storage
"""
