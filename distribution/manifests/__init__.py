"""Manifests as rows.

`store`       puts, gets and deletes one
`removal`     locks and removes one with those whose state this changes
`references`  what still refers to a manifest or a link, which keeps it from the collector
"""
