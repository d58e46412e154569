"""Manifests as rows.

`store`       puts, finds and deletes a manifest
`removal`     locks and removes a manifest with its children and referrers
`references`  the references that keep a manifest or a link from the collector
"""
