"""The V2 API: it answers `/v2/` and writes rows and bytes.

`urls`, `middleware`, `views`   route a path to a view, before any middleware for browsers
`pull`, `pushes`                the responses to plain requests, whether a view asks or the short path
`uploads`, `manifests`, `blobs`, `tags`, `referrers`, `deletion`   the verbs, each with its transaction
`repositories`, `queries`       shared by the verbs
`last_used`, `deferred_writes`, `collection_fence`   keep what clients were told of, also while nothing can be written
`models`, `storage`             rows and bytes
`protocol`                      grammars and documents, without Django
`admin`                         the pages
"""
