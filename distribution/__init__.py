"""The V2 API: it answers `/v2/` and writes rows and bytes.

`urls`, `middleware`, `views`   from a path to a view, before anything that is made for browsers
`uploads`, `manifests`, `blobs`, `tags`, `referrers`, `deletion`   the verbs, each with its transaction
`repositories`, `queries`       what the verbs share
`last_used`, `deferred_writes`, `collection_fence`   what was promised to clients, also while nothing can be written
`models`, `storage`             rows and bytes
`protocol`                      grammars and documents, without Django
`admin`                         the pages
"""
