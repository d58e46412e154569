"""Manifests as rows.

`store`       puts, finds and deletes a manifest
`freed`       what the deletion of a tag, a manifest or a repository frees
`removal`     locks and removes a manifest with its children and referrers
`references`  the references that keep a manifest or a link from the collector
`history`     a row for each tag that was created, moved or deleted
"""
