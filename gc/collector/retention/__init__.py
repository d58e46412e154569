"""Retention: remove the tags that no policy keeps, before the sweep; their manifests keep the whole grace period.

`facts`       what the rows say about the tags of a repository, in batches
`simulation`  the verdict for each tag, and what a dry run lists
`removal`     removes those that go, some in each transaction, each checked again under its lock
"""
